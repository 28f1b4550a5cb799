"""Tools of other systems: MCP servers and A2A agents as tools of agents here.

What a server says of its tools is pinned by a person; a tool that is no longer
described as it was pinned is not called. Calls are steps like any other:
recorded, judged by policy, sent at most once where they change something.
"""
