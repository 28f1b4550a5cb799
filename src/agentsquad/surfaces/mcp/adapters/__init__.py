"""The standard streams of this process, as MCP uses them."""
