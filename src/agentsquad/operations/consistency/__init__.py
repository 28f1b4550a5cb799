"""Consistency: whether a recorded history of operations could have come from
one copy of the data that does one thing at a time (linearizability).

It judges histories, of our own store or anybody's; it does not record them.
Weaker models (causal, session) are not judged here.
"""
