"""Agents: the Agent resource, the turn (a run of its own) and the port through
which models are asked."""
