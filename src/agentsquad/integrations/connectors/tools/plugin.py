"""What tools offer: the kind, the actions, and how servers are reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.integrations.connectors.tools import actions
from agentsquad.integrations.connectors.tools.contract import Peer, Peers, Server
from agentsquad.integrations.connectors.tools.kinds import TOOL_SERVER
from agentsquad.integrations.connectors.tools.offering import PinnedTools
from agentsquad.integrations.connectors.tools.reach import Reach
from agentsquad.kernel.registry import Plugin
from agentsquad.workforce.agents.contract import Toolbox

_OPERATORS = """package tools.operators

actions := {"tools.pin"}

allow contains {"clause": "tools.operators.person", "reason": "a person looked at them"} if {
	startswith(input.actor, "person:")
}

deny contains {"clause": "tools.operators.model", "reason": "a model pins no tools"} if {
	not startswith(input.actor, "person:")
}
"""

_CALLS = """package tools.calls

# What cannot be undone is allowed by nobody but your own policy.
actions := {"tools.write"}

allow contains {"clause": "tools.calls.pinned", "reason": "a pinned tool of an agent"} if {
	input.facts.agent
	not input.facts.surface
}
"""


async def _program(server: Server, environment: Mapping[str, str]) -> Peer:
    from agentsquad.integrations.connectors.tools.adapters.programs import ProgramWire
    from agentsquad.integrations.connectors.tools.mcp import McpPeer

    wire = await ProgramWire.start(server.command, environment, server.timeout_seconds)
    peer = McpPeer(wire)
    await _begun(peer)
    return peer


async def _web(server: Server, headers: Mapping[str, str]) -> Peer:
    from agentsquad.integrations.connectors.tools.a2a import A2aPeer, pausing
    from agentsquad.integrations.connectors.tools.adapters.web import A2aWeb, McpWeb, Web
    from agentsquad.integrations.connectors.tools.mcp import McpPeer

    web = Web(server.url, headers, server.timeout_seconds)
    if server.protocol == "a2a":
        return A2aPeer(A2aWeb(web), pausing())
    peer = McpPeer(McpWeb(web))
    await _begun(peer)
    return peer


async def _begun(peer: Any) -> None:
    """Begin, or leave nothing behind."""
    try:
        await peer.begin()
    except BaseException:
        await peer.close()
        raise


def peers(settings: Any) -> Reach:
    """Return the connections of an installation; none is open yet."""
    return Reach(settings.environment, _program, _web, settings.named)


def toolbox(settings: Any) -> PinnedTools:
    """Return the pinned tools."""
    return PinnedTools()


plugin = Plugin(
    name="tools",
    actions=(
        actions.list_tools,
        actions.diff,
        actions.pin,
        actions.read,
        actions.write,
        actions.commit,
    ),
    kinds=(TOOL_SERVER,),
    ports={Peers: peers, Toolbox: toolbox},
    policies={"tools/operators.rego": _OPERATORS, "tools/calls.rego": _CALLS},
)
