"""The same runs on a Temporal cluster: the log stays the record, Temporal is
what drives.

Apart from the engine, whose decider, door and journal it uses unchanged: this
room knows only how Temporal is asked, and keeps nothing of a run there but its
id, positions and versions of its journal.
"""
