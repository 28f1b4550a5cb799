"""What the MCP surface offers: serving over the standard streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentsquad.kernel.registry import Plugin
from agentsquad.surfaces.mcp.actions import Streams, Terminals, serve

if TYPE_CHECKING:
    from agentsquad.surfaces.gateway.files import Scratch

_OPERATORS = """package mcp.operators

actions := {"mcp.serve"}

local if not input.facts.surface

allow contains {"clause": "mcp.operators.local", "reason": "who starts it, owns it"} if local
"""


class Terminal:
    """The standard streams of this process."""

    def streams(self) -> Streams:
        """Take the standard streams."""
        from agentsquad.surfaces.mcp.adapters.streams import StandardStreams

        return StandardStreams()

    def scratch(self) -> Scratch:
        """Return a folder for the files of one call."""
        from agentsquad.surfaces.gateway.plugin import scratch

        return scratch()


def _terminals(settings: Any) -> Terminals:
    return Terminal()


plugin = Plugin(
    name="mcp",
    actions=(serve,),
    ports={Terminals: _terminals},
    policies={"mcp/operators.rego": _OPERATORS},
)
