"""The outside world of A2A: where notifications go."""
