"""The outside world: the only modules here that touch it."""
