"""Who waits for the disk waits for what was known then, and for nothing
later."""

from __future__ import annotations

import asyncio

import pytest

from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.ledger.contract import FullError


@workflow("nothing")
async def nothing(ctx, value: int) -> int:
    return value


def drive() -> Drive:
    registry = Registry.of(Plugin(name="t", workflows=(nothing,)))
    return Drive(Instance("r", nothing, registry))


async def test_saved_waits_for_what_is_known_by_then_only():
    one = drive()
    await one.saved()
    one.note()
    waiting = asyncio.ensure_future(one.saved())
    await asyncio.sleep(0)
    one.note()
    later = asyncio.ensure_future(one.saved())
    await asyncio.sleep(0)
    one.settle(None)
    await waiting
    assert not later.done()
    one.settle(None)
    await later


async def test_what_is_lost_is_told_to_those_who_rest_on_it_and_to_all_after():
    one = drive()
    one.note()
    before = asyncio.ensure_future(one.saved())
    await asyncio.sleep(0)
    one.note()
    after = asyncio.ensure_future(one.saved())
    await asyncio.sleep(0)
    one.settle(None)
    one.settle(FullError())
    await before
    for lost in (after, one.saved()):
        with pytest.raises(FullError):
            await lost


async def test_the_firmness_of_a_step_ends_with_the_last_event_on_the_disk():
    one = drive()
    one.note()
    one.note()
    one.firm = True
    one.settle(None)
    assert one.firm
    one.settle(None)
    assert not one.firm
