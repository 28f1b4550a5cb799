"""The databases a transaction goes over. Reached only through the room's
plugin."""
