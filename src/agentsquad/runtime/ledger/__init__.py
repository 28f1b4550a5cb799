"""The ledger: the one append-only log, its blobs, its keys and its readings.

What happened is written here first and read from here last; everything else can
be rebuilt from it. It knows streams and events, not runs: what an event means
is the business of the rooms above.
"""
