"""The ledger in PostgreSQL: volume, keys, blobs and the right to drive runs, in
one schema of a database that several processes share.
"""
