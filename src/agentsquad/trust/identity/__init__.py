"""Identity: who somebody is, and how they show it.

People, service accounts, their credentials, tokens and sessions, all as events
of the system's own log. What somebody may do is the room `access`.
"""
