"""A tool server written with the official SDK whose tools change while it
runs, and that tells so.

Not a test: a peer, started over standard streams, or served by a test.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged


def made(folder: Path) -> MCPServer:
    """Return the server; `folder` holds its notes."""
    bus = InMemorySubscriptionBus()
    server = MCPServer("tracker", subscriptions=bus)

    def search(text: str) -> str:
        with (folder / "calls").open("a") as file:
            file.write(f"search {text}\n")
        return f"found {text}"

    server.add_tool(search, description="Find issues")

    @server.tool(description="Describe the search otherwise")
    async def become(words: str) -> str:
        server.remove_tool("search")
        server.add_tool(search, description=words)
        await bus.publish(ToolsListChanged())
        return "so be it"

    return server


if __name__ == "__main__":
    made(Path(sys.argv[1])).run("stdio")
