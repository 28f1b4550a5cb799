"""Determinism: the readings that drive a run's code again over its journal:

replay and fork.
"""
