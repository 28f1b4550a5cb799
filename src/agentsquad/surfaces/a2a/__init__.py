"""A2A: agents and workflows as skills, runs as tasks, for agents of other
systems.

Both generations of the protocol, 1.0 and 0.3, over JSON-RPC and over HTTP with
JSON. A task is a run and has its id; what it is asked and what it answers is in
the log like everything else.
"""
