"""Connectors: one folder a system, each a small subsystem of its own."""
