"""Naming: action names as the tool names that providers accept, and back.

Providers allow letters, digits, `_` and `-`; ours have a dot. The mapping is
made anew for every request from the names in it, so it needs no memory and is
the same on every machine.
"""

from __future__ import annotations

import re

from agentsquad.workforce.agents.contract import ModelRequest

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]+")
LENGTH_MAX = 64


class ToolNames:
    """Both directions for one request."""

    def __init__(self, request: ModelRequest) -> None:
        names = {tool.name for tool in request.tools}
        for message in request.messages:
            names.update(call.name for call in message.tool_calls)
        self._outward: dict[str, str] = {}
        self._inward: dict[str, str] = {}
        for name in sorted(names):
            wire = self._free(_FORBIDDEN.sub("__", name) or "tool")
            self._outward[name] = wire
            self._inward[wire] = name

    def _free(self, wish: str) -> str:
        wire, number = wish[:LENGTH_MAX], 2
        while wire in self._inward:
            ending = f"_{number}"
            wire, number = wish[: LENGTH_MAX - len(ending)] + ending, number + 1
        return wire

    def reserve(self, wish: str) -> str:
        """Return a wire name that no tool of the request has, and keep it."""
        wire = self._free(wish)
        self._inward[wire] = wire
        return wire

    def outward(self, name: str) -> str:
        """Return the name to send."""
        return self._outward[name]

    def inward(self, wire: str) -> str:
        """Return our name for what came back; an invented one stays as it
        is.
        """
        return self._inward.get(wire, wire)
