"""Reach: connections to tool servers, each made once and kept while it
works."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from agentsquad.integrations.connectors.tools.contract import (
    Peer,
    Server,
    ToolCommandError,
    ToolUnreachableError,
)

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
ALLOWED = "SQUAD_TOOL_COMMANDS"
PASSED = ("PATH", "HOME", "LANG", "TMPDIR")
Open = Callable[[Server, Mapping[str, str]], Awaitable[Peer]]


class Reach:
    """Peers by name (`Peers`)."""

    def __init__(
        self,
        environment: Mapping[str, str],
        program: Open,
        web: Open,
        named: Mapping[str, str] | None = None,
    ) -> None:
        """`named` are the variables that resources may name, where those are
        not all."""
        self._environment = environment
        self._named = environment if named is None else named
        self._program = program
        self._web = web
        self._held: dict[str, tuple[Server, Peer]] = {}

    async def connect(self, name: str, server: Server) -> Peer:
        """Return a connection, the one there is if it still works."""
        held = self._held.get(name)
        if held is not None:
            if held[0] == server and not getattr(held[1], "broken", False):
                return held[1]
            del self._held[name]
            await held[1].close()
        if server.command:
            allow_command(server.command[0], self._environment.get(ALLOWED, ""))
            variables = {k: self._environment[k] for k in PASSED if k in self._environment}
            told = {**variables, **filled(server.environment, self._named)}
            peer = await self._program(server, told)
        else:
            peer = await self._web(server, filled(server.headers, self._named))
        self._held[name] = (server, peer)
        return peer

    async def close(self) -> None:
        """End all connections."""
        for _, peer in self._held.values():
            await peer.close()
        self._held.clear()


def allow_command(program: str, allowed: str) -> None:
    """Raise where a program may not be started: whoever may write resources
    is not therefore somebody who may run programs here."""
    names = allowed.split(":")
    if program not in names and "*" not in names:
        raise ToolCommandError(
            f"{program} may not be started",
            hint=f"who owns this installation sets {ALLOWED}={program}",
        )


def filled(texts: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return texts with the environment's values in the place of ${NAME}."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in environment:
            raise ToolUnreachableError(f"the variable {name} is not set")
        return environment[name]

    return {name: VARIABLE.sub(value, text) for name, text in texts.items()}
