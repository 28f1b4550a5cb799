"""Floor 4: how people and programs reach actions; everything derived from the
registry."""
