"""MCP: actions as tools, runs, events and resources as resources, for any
client of the Model Context Protocol.

Both revisions of the protocol that are in use: the current one, in which every
request stands for itself, and the one before it, with sessions. Over the
standard streams of a process (`squad mcp`) or over HTTP (`/mcp`).
"""
