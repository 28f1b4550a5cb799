"""Offering: pinned tools as agents are offered them."""

from __future__ import annotations

from agentsquad.integrations.connectors.tools import pins
from agentsquad.integrations.connectors.tools.contract import ACTIONS, ToolUnpinnedError
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.workforce.agents.contract import Elsewhere, ToolSpec

DESCRIPTION_MAX = 4096


class PinnedTools:
    """The tools of other systems (`Toolbox`), from the log alone."""

    async def offered(self, store: EventStore, name: str) -> list[Elsewhere]:
        """Return a tool by SERVER/TOOL, or all of a server by SERVER/*."""
        server_name, _, tool = name.partition("/")
        server = await pins.server_of(store, server_name)
        known = await pins.pinned(store, server_name)
        wanted = sorted(known) if tool == "*" else [tool]
        found = []
        for one in wanted:
            if one not in known or not server.allows(one):
                if tool == "*":
                    continue
                raise ToolUnpinnedError(
                    f"{name} is not pinned",
                    hint=nearest(one, known) or f"squad tools pin {server_name}",
                )
            shown = ToolSpec(
                name=f"{server_name}/{one}",
                description=known[one].description[:DESCRIPTION_MAX],
                schema=known[one].schema,
            )
            action = ACTIONS[server.effect(one)]
            found.append(Elsewhere(spec=shown, action=action, digest=known[one].digest))
        return found
