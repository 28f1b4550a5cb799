"""The engine: runs workflows over the journal.

A pure decider inside, an asyncio shell around it.
"""
