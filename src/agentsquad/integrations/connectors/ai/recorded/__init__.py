"""Recorded replies as a model: the same request, the same answer."""
