"""Access: what somebody may do, by roles, scopes and namespaces; deny is the
default.

It decides whether a request may reach an action at all. What an action may do
with exactly this input stays with policy (runtime/policy), which is asked after
it.
"""
