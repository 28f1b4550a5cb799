"""The installation of the MCP tests, with an agent that asks back, and A2A's
routes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from tests.surfaces.mcp.conftest import House, served, sync_house

from agentsquad.surfaces.a2a.routes import routes
from agentsquad.workforce.agents.contract import ModelRequest

__all__ = ["served", "sync_house"]

AGENT = """apiVersion: agentsquad.dev/v1
kind: Agent
metadata: {name: clerk}
spec:
  role: a clerk who adds
  model: rules/clerk
  outputSchema: {type: object}
"""


class Office(House):
    """The house with A2A's routes."""

    asked: list[ModelRequest]
    replies: list[str]

    def clerk(self, request: ModelRequest) -> str:
        self.asked.append(request)
        return self.replies.pop(0)

    def app(self, **options: Any) -> Starlette:
        return Starlette(routes=routes(self.gateway, **options))

    async def hire(self, *replies: str) -> None:
        """Apply an agent whose model gives these replies."""
        self.replies = list(replies)
        await self.squad.invoke("resources.apply", {"file": [self.manifest]})

    async def go(self, task: str) -> None:
        """Let the patient workflow below a task go on, once it waits."""
        store = self.squad.world.store
        waiting = None
        for _ in range(500):
            found = await store.read(types=["signal.waiting"])
            if found:
                [waiting] = found
                break
            await asyncio.sleep(0.01)
        assert waiting is not None
        run = waiting.stream.removeprefix("run/")
        await self.squad.invoke("runs.signal", {"run": run, "name": "go", "payload": "1"})

    @property
    def manifest(self) -> str:
        path = self.home / "agent.yaml"
        path.write_text(AGENT)
        return str(path)


@pytest_asyncio.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Office(tmp_path)
    made.home, made.asked = tmp_path, []
    monkeypatch.setattr("agentsquad.assembly.squad.shipped_rules", lambda: {"clerk": made.clerk})
    yield made
    await made.close()


@pytest.fixture
def quiet_office(tmp_path: Path) -> Iterator[Any]:
    """The same, with a loop of its own."""
    made = Office(tmp_path)
    made.home = tmp_path
    made.loop = asyncio.new_event_loop()
    made.served_app = made.app(push=True)
    yield made
    made.loop.run_until_complete(made.close())
    made.loop.close()
