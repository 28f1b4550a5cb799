"""Closing an installation ends what it started."""

from __future__ import annotations

from pathlib import Path

from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.integrations.connectors.tools.contract import Peers


class Held:
    """Connections to tool servers."""

    closed = 0

    async def close(self) -> None:
        self.closed += 1


async def test_connections_to_tool_servers_are_ended(tmp_path: Path) -> None:
    squad = Squad(read({}, home=str(tmp_path)))
    held = Held()
    squad.ports.put(Peers, held)
    squad.ports.get(Peers)
    await squad.close()
    assert held.closed == 1
