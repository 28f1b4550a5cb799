"""The outside world of chaos: the machine's processes."""
