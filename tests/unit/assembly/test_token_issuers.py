"""Who gives the tokens is the same in everything a server says of itself, also
where people reach it at another address than it listens at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentsquad.assembly.server import Running, UpInput, measures
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad

PUBLIC = "https://squad.example"
LISTENING = "http://127.0.0.1:8420"


class Asked:
    """In the place of a listening server: asks, and ends."""

    url = LISTENING

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def serve(self, app: Any, ended: Callable[[], Awaitable[None]], drain_ms: int) -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=LISTENING) as client:
            for name in ("oauth-protected-resource", "oauth-authorization-server"):
                self.told.append((await client.get(f"/.well-known/{name}")).json())


@pytest.mark.parametrize("variables", [{}, {"SQUAD_PUBLIC_URL": PUBLIC}])
async def test_tool_clients_are_sent_to_who_issues_the_tokens(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    squad, asked = Squad(read(variables, home=str(tmp_path))), Asked()
    watching = measures(squad.world.clock, "json", None)
    options = UpInput(listen="127.0.0.1:8420")
    await Running(squad, options, watching).until_told(asked, None)
    await squad.close()
    resource, server = asked.told
    assert server["issuer"] == variables.get("SQUAD_PUBLIC_URL", LISTENING)
    assert resource["authorization_servers"] == [server["issuer"]]
