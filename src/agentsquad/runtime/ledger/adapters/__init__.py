"""The ledger's outside world: memory, SQLite, files. Reached only through the
room's plugin.
"""
