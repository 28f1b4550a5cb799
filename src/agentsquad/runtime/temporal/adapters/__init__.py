"""Temporal itself: the workflow, its activities, the worker and the client."""
