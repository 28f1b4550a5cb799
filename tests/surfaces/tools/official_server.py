"""A tool server written with the official SDK. It notes every call in a file,
so that a test can count them; a second file changes what it says of a tool.

Not a test: a peer, started over standard streams, or served by a test.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mcp.server import MCPServer


def made(folder: Path) -> MCPServer:
    """Return the server; `folder` holds its notes."""
    server = MCPServer("tracker")
    told = folder / "description"
    words = told.read_text() if told.exists() else "Find issues"

    @server.tool(description=words)
    def search(text: str) -> str:
        note("search", text)
        return f"found {text}"

    @server.tool(description="Open an issue")
    def create(title: str, urgent: bool = False) -> dict[str, str]:
        note("create", title)
        if title == "bad":
            raise ValueError("no such project")
        return {"id": "T-1", "title": title}

    def note(tool: str, text: str) -> None:
        with (folder / "calls").open("a") as file:
            file.write(f"{tool} {text}\n")

    return server


if __name__ == "__main__":
    made(Path(sys.argv[1])).run("stdio")
