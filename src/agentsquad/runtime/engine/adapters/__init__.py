"""The outside world of the engine: the machine's clock and chance, and the lock
of a store."""
