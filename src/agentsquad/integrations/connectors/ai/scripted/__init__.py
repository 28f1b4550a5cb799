"""Scripted replies as a model, for tests and rehearsals."""
