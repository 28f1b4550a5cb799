"""Explain: why a run came out as it did, computed from the log and checked by
re-running."""
