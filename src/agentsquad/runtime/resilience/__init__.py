"""Resilience: rates, retries and budgets as pure decisions.

Whoever calls them does the waiting and the recording.
"""
