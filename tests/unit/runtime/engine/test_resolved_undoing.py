"""An undoing whose outcome was unknown and that a person resolves says what it
undid, as one that was answered does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import MissingError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.actions import resolve
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.resolving import resolution
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


class Seat(msgspec.Struct):
    """A seat."""

    number: int


@action("seat.take", effect=Effect.WRITE, compensate="seat.free")
async def take(ctx: Any, value: Seat) -> Seat:
    """Take a seat."""
    return value


@action("seat.free", effect=Effect.WRITE)
async def free(ctx: Any, value: dict[str, Any]) -> str:
    """Free a seat; the answer is always lost."""
    raise UnavailableError("the answer was lost")


@workflow("seats")
async def seats(ctx: Any, value: Seat) -> None:
    """Take a seat and fail."""
    saga = ctx.saga()
    await saga.call("seat.take", value)
    raise UnavailableError("no show")


@pytest.mark.parametrize("freed", [True, False])
async def test_who_resolves_an_undoing_says_what_it_undid(freed: bool) -> None:
    s = TestSquad(Plugin(name="seats", actions=(take, free, resolve), workflows=(seats,)))
    run = await s.engine.start("seats", Seat(4))
    await settle()
    events = await s.ledger.store.read_stream(f"run/{run}")
    (asked,) = [e.payload["position"] for e in events if e.type == "effect.ambiguous"]
    said = {"confirmed": '"freed"'} if freed else {"failed": True}
    given = {"run": run, "position": asked, "reason": "the hall was asked", **said}
    await s.engine.invoke("effects.resolve", given, actor=Actor.parse("person:ada"))
    await s.engine.poll()
    assert (await s.engine.wait(run, timeout_ms=5000)).status == "failed"
    events = await s.ledger.store.read_stream(f"run/{run}")
    (taken,) = [e.payload for e in events if e.type == "effect.planned"][:1]
    undone = [e.payload for e in events if e.type == "effect.compensated"]
    expected = {"position": taken["position"], "key": taken["key"], "by": asked}
    assert undone == ([expected] if freed else [])


async def test_what_resolves_an_effect_is_one_append() -> None:
    s = TestSquad(Plugin(name="seats", actions=(take, free, resolve), workflows=(seats,)))
    run = await s.engine.start("seats", Seat(4))
    await settle()
    journal = await s.ledger.store.read_stream(f"run/{run}")
    (asked,) = [e.payload["position"] for e in journal if e.type == "effect.ambiguous"]
    came = {"output": "freed"}
    told = resolution(journal, asked, by="person:ada", reason="seen", came=came)
    assert [kind for kind, _ in told] == ["effect.compensated", "effect.confirmed"]
    await s.engine.tell_all(run, told, "person:ada")
    after = await s.ledger.store.read_stream(f"run/{run}", after=len(journal))
    assert [e.type for e in after[:2]] == ["effect.compensated", "effect.confirmed"]
    with pytest.raises(MissingError, match="no effect of unknown outcome"):
        resolution([*journal, *after], asked, by="person:ada", reason="seen", came=came)
