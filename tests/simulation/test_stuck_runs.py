"""A run that cannot go on holds up nobody else, and goes on once it can."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import DefinitionChangedError, workflow
from agentsquad.runtime.engine.outside import POLL_MS
from agentsquad.runtime.ledger.contract import ReadFailedError
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


@workflow("old")
async def old(ctx, value: dict) -> Any:
    return await ctx.signal("go")


@workflow("other")
async def other(ctx, value: dict) -> Any:
    return await ctx.signal("go")


async def pinned() -> tuple[TestSquad, str, str]:
    s = TestSquad(Plugin(name="test", workflows=(old, other)))
    stays = await s.engine.start("old", {})
    goes = await s.engine.start("other", {})
    await settle()
    newer = msgspec.structs.replace(old, digest="sha256:newer")
    await s.restart(Registry.of(Plugin(name="test", workflows=(newer, other))))
    with pytest.raises(DefinitionChangedError):
        await s.engine.wait(stays)
    return s, stays, goes


async def note(s: TestSquad, run: str, kind: str, body: dict[str, Any]) -> None:
    told = NewEvent(stream=f"run/{run}", type=kind, payload=body, actor="person:ada")
    await s.ledger.store.append([told])


async def test_news_of_a_pinned_run_from_another_process_stops_no_other_run():
    s, stays, goes = await pinned()
    await note(s, stays, "signal.received", {"name": "go", "payload": 1})
    await note(s, goes, "signal.received", {"name": "go", "payload": 2})
    await s.engine.poll()
    assert (await s.engine.wait(goes, timeout_ms=5000)).output == 2


async def test_a_run_that_was_adopted_goes_on():
    s, stays, _ = await pinned()
    await note(s, stays, "run.adopted", {"definition": "sha256:newer", "reason": "same"})
    await s.engine.recover()
    await s.engine.signal(stays, "go", 3, actor="person:ada")
    assert (await s.engine.wait(stays, timeout_ms=5000)).output == 3


class Held:
    """A lease that nobody else wants."""

    held = True

    def acquire(self) -> None:
        """Have it."""

    def release(self) -> None:
        """Give it back."""


async def test_a_read_that_fails_once_does_not_make_the_engine_deaf():
    s = TestSquad(Plugin(name="test", workflows=(other,)))
    s.engine.outside._lease = Held()
    run = await s.engine.start("other", {})
    await settle()
    await note(s, run, "signal.received", {"name": "go", "payload": 1})
    read, failed = s.ledger.store.read, []

    async def broken(**options: Any) -> Any:
        if not failed:
            failed.append(options)
            raise ReadFailedError("an input or output error")
        return await read(**options)

    s.ledger.store.read = broken
    await s.clock.advance(POLL_MS)
    assert failed
    assert (await s.engine.outcome(run)).status == "waiting"
    await s.clock.advance(POLL_MS)
    assert (await s.engine.outcome(run)).output == 1
    await s.engine.close()
