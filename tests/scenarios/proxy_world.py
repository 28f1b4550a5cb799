"""An installation with the proxy's door open, and the vendors' own clients at
it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.integrations.proxy import replaying
from agentsquad.integrations.proxy.answering import LiveAnswerer
from agentsquad.integrations.proxy.contract import Listener
from agentsquad.integrations.proxy.serving import Sessions, context_of
from agentsquad.runtime.engine.contract import Engine as Engine
from agentsquad.runtime.ledger.blob import resolve

KEY = "sqp_test"
REAL = {"OPENAI_API_KEY": "real-openai-key", "ANTHROPIC_API_KEY": "real-anthropic-key"}


def settings(home: Path, url: str, **more: str) -> Any:
    """Return the settings of an installation whose models are at `url`."""
    variables = {
        "SQUAD_HOME": str(home),
        "SQUAD_USER": "tester",
        "OPENAI_BASE_URL": f"{url}/v1",
        "ANTHROPIC_BASE_URL": url,
        **REAL,
        **more,
    }
    return read(variables)


class Door:
    """An open door: its address, its sessions and the installation behind."""

    def __init__(self, squad: Squad, sessions: Sessions, address: str) -> None:
        self.squad = squad
        self.sessions = sessions
        self.address = address

    async def end(self) -> list[str]:
        """End the sessions and return their runs."""
        runs = self.sessions.runs
        await self.sessions.close()
        return runs

    async def events(self, run: str) -> list[Any]:
        """Return what was recorded."""
        return await self.squad.world.store.read_stream(f"run/{run}")


@asynccontextmanager
async def installed(home: Path, url: str, *manifests: Any, **more: str) -> AsyncIterator[Squad]:
    """Open an installation with some resources applied."""
    squad = Squad(settings(home, url, **more))
    try:
        for number, manifest in enumerate(manifests):
            file = _written(home, number, manifest)
            await squad.invoke("resources.apply", {"file": [str(file)]})
        yield squad
    finally:
        await squad.close()


async def until(reached: Callable[[], bool]) -> None:
    """Let others go on until something is reached."""
    while not reached():  # noqa: ASYNC110 - what is reached has no bell of its own
        await asyncio.sleep(0)


async def whole(squad: Squad, value: Any) -> Any:
    """Return a value with its blobs put back."""
    return await resolve(value, squad.world.blobs)


def _written(home: Path, number: int, manifest: str) -> Path:
    home.mkdir(exist_ok=True, parents=True)
    file = home / f"manifest-{number}.yaml"
    file.write_text(manifest)
    return file


@asynccontextmanager
async def door(squad: Squad, budget: str | None = None) -> AsyncIterator[Door]:
    """Open the door of an installation."""
    await squad.invoke("models.list", {})  # reads the providers
    sessions = Sessions(context_of(squad.world, squad.actor), "test", budget)
    listener: Any = squad.ports.get(Listener)
    answerer = LiveAnswerer(KEY, sessions.session)
    listening = await listener.listen(answerer, "127.0.0.1", 0)
    try:
        yield Door(squad, sessions, listening.address)
    finally:
        await listening.close()
        await sessions.close()


@asynccontextmanager
async def replayed(squad: Squad, run: str) -> AsyncIterator[tuple[str, Any]]:
    """Open a door behind which a recording answers."""
    store, blobs = squad.world.store, squad.world.blobs
    found = await replaying.entries(await store.read_stream(f"run/{run}"), blobs)
    recording = replaying.Recording(found)
    listener: Any = squad.ports.get(Listener)
    answerer = replaying.ReplayAnswerer(KEY, recording)
    listening = await listener.listen(answerer, "127.0.0.1", 0)
    try:
        yield listening.address, recording
    finally:
        await listening.close()
