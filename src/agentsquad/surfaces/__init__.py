"""The ways in: one gateway, and on it each surface derived from the registry.

Nothing here knows a capability by name; a surface that needs hand-written code for an action says
that the action's spec lacks something.
"""
