"""Whoever waits for a server sees that it is at work, and nothing once it has
answered."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from agentsquad.assembly import remote
from agentsquad.assembly.remote import RemoteNamespace
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import UnavailableError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.surfaces.gateway.contract import Answer
from agentsquad.surfaces.rest.contract import Place


class Nothing(msgspec.Struct):
    """Nothing."""


@action("shop.wait", effect=Effect.READ, cli=())
def wait(ctx: Any, value: Nothing) -> Nothing:
    """Take long."""
    return value


class Slow:
    """A server that answers once it was told of often enough."""

    def __init__(self, often: int, fails: bool = False) -> None:
        self.lines: list[str] = []
        self._often, self._fails, self._seen = often, fails, asyncio.Event()

    def tell(self, text: str, done: int | None, total: int | None) -> None:
        self.lines.append(text)
        if len(self.lines) >= self._often:
            self._seen.set()

    async def keep(self, file: Any) -> Any:
        raise AssertionError("nothing is sent along")

    async def call(self, name: str, value: Any, key: str | None) -> Answer:
        if self._often:
            await self._seen.wait()
        if self._fails:
            raise UnavailableError("gone")
        return Answer(value={})


def far(server: Slow) -> RemoteNamespace:
    registry = Registry([Plugin(name="shop", actions=(wait,))])
    installed: Any = SimpleNamespace(registry=lambda: registry, environment={})
    found = RemoteNamespace(Place(url="http://127.0.0.1:9"), "default", installed, lambda: None)  # type: ignore[arg-type,return-value]
    found._client = server  # type: ignore[assignment]
    found.world.progress = server.tell
    return found


@pytest.mark.parametrize("fails", [False, True])
async def test_who_waits_is_told_until_there_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(remote, "TELL_S", 0)
    server = Slow(3, fails)
    calling = far(server).invoke("shop.wait", {})
    if fails:
        with pytest.raises(UnavailableError):
            await calling
    else:
        await calling
    told = len(server.lines)
    assert told >= 3 and "http://127.0.0.1:9" in server.lines[0]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(server.lines) == told


async def test_who_is_answered_at_once_is_told_nothing() -> None:
    server = Slow(0)
    await far(server).invoke("shop.wait", {})
    assert server.lines == []
