"""Attestation: signed heads of the log, proofs about its events, and cases that
verify offline.

It signs and proves what the ledger holds; it never decides what is true. That
a run's steps could have happened in that order is for replay to show.
"""
