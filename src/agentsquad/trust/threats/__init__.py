"""Threats: what is done against requests that are too many, too large or meant
to harm, and against text meant to mislead a model."""
