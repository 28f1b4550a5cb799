"""What others may know of tools: a server, a tool as it describes it, the ports
that reach it, and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from agentsquad.kernel import hashing
from agentsquad.kernel.errors import (
    ConflictError,
    DeadlineError,
    DeniedError,
    InvalidError,
    MissingError,
    UnavailableError,
    UnsupportedError,
)

KIND = "ToolServer"
PINNED, DRIFTED = "tools.pinned", "tools.drifted"
Effect = Literal["read", "write", "irreversible"]
ACTIONS: Mapping[str, str] = {
    "read": "tools.read",
    "write": "tools.write",
    "irreversible": "tools.commit",
}


class Server(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A tool server as its resource says."""

    command: tuple[str, ...] = ()
    url: str = ""
    protocol: Literal["mcp", "a2a"] = "mcp"
    allow: tuple[str, ...] = ()
    effects: Mapping[str, Effect] = {}
    headers: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    timeout_seconds: float = 60.0

    def allows(self, tool: str) -> bool:
        """Whether a tool of it may be used at all."""
        return not self.allow or tool in self.allow

    def effect(self, tool: str) -> Effect:
        """Return what a tool does to the world; what nothing is said of
        changes it."""
        return self.effects.get(tool, "write")


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its server describes it."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = {}

    @property
    def digest(self) -> str:
        """What is pinned."""
        return hashing.digest(
            {"name": self.name, "description": self.description, "schema": self.schema}
        )


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool answered: its text, and its data where it has some."""

    text: str = ""
    data: Any = None


class Peer(Protocol):
    """A tool server that is connected."""

    async def definitions(self, *, fresh: bool = False) -> list[Definition]:
        """Return what it offers now, in the order of names: asked just now if
        `fresh`, else also what was said before, as long as the server has
        promised to tell of changes and would be heard."""
        ...

    async def call(self, tool: Definition, arguments: Mapping[str, Any], key: str) -> Result:
        """Call a tool; `key` is the same for the same call. ToolFailedError
        says that the server answered no."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Peers(Protocol):
    """Reaches tool servers."""

    async def connect(self, name: str, server: Server) -> Peer:
        """Return a connection; ToolUnreachableError where there is none. It
        stays for the next call."""
        ...

    async def close(self) -> None:
        """End all connections, and the programs that were started for them."""
        ...


class ToolServerMissingError(MissingError):
    """There is no such tool server, or it has no such tool."""

    code = "tools.missing"


class ToolUnpinnedError(DeniedError):
    """Nobody has looked at that tool's description and pinned it."""

    code = "tools.unpinned"


class ToolDriftError(ConflictError):
    """The server describes the tool otherwise than it was pinned; it was not
    called."""

    code = "tools.drift"


class ToolFailedError(InvalidError):
    """The tool answered with an error."""

    code = "tools.failed"


class ToolUnreachableError(UnsupportedError):
    """The tool server cannot be reached; nothing was sent."""

    code = "tools.unreachable"


class ToolLostError(UnavailableError):
    """The connection was lost in the middle of a call; whether it happened is
    unknown."""

    code = "tools.lost"


class ToolDeadlineError(DeadlineError):
    """The tool did not answer in time; whether it happened is unknown."""

    code = "tools.deadline"


class ToolCommandError(DeniedError):
    """Programs are started for tools only where the owner of this installation
    lets them be."""

    code = "tools.command"
