"""Floor 0: the nouns as values. No I/O, no clock, no SDK."""
