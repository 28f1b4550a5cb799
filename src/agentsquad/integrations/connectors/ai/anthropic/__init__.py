"""Anthropic's Messages API, spoken natively."""
