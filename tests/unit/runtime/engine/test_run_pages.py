"""Lists of runs come in pages by filters, and of a long run its end is shown;
what is in them is what reading everything gives."""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine import runs
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad


class N(msgspec.Struct):
    n: int


@action("page.read", effect=Effect.READ)
async def read(ctx: Any, value: N) -> N:
    """Read."""
    return value


@workflow("does")
async def does(ctx: Any, value: N) -> Any:
    for _ in range(value.n):
        await ctx.call("page.read", value)


@workflow("asks")
async def asks(ctx: Any, value: N) -> Any:
    await ctx.signal("go")


@workflow("above")
async def above(ctx: Any, value: N) -> Any:
    return await ctx.parallel(*(ctx.run("does", N(1)) for _ in range(value.n)))


PLUGIN = Plugin(name="pages", actions=(read,), workflows=(does, asks, above))


async def many() -> tuple[TestSquad, list[str]]:
    """Start runs of all kinds, one a second."""
    s = TestSquad(PLUGIN)
    started = []
    for number in range(12):
        flow = ("does", "asks", "above")[number % 3]
        started.append(await s.engine.start(flow, N(2)))
        await s.clock.advance(1000)
    return s, started


async def pages(s: TestSquad, limit: int, **which: Any) -> list[str]:
    """Return the runs of all pages."""
    found: list[str] = []
    below = None
    while True:
        page = await runs.listed(s.ledger, runs.Filter(**which, below=below), limit=limit)
        found += [one.run for one in page]
        if len(page) < limit:
            return found
        below = (page[-1].started, page[-1].run)


async def test_pages_hold_every_run_that_fits_once_and_the_newest_first():
    s, started = await many()
    summaries = await runs.summaries(s.ledger.store)
    every = [one.run for one in summaries]
    assert await pages(s, 5) == started[::-1]
    assert sorted(await pages(s, 3, roots=False)) == sorted(every)
    for status in ("waiting", "completed", "running"):
        fits = [one.run for one in summaries if one.status == status and one.parent is None]
        assert await pages(s, 2, status=status) == fits[::-1]
    assert await pages(s, 2, workflow="above") == started[2::3][::-1]
    assert await pages(s, 2, workflow="asks", status="waiting") == started[1::3][::-1]
    assert await pages(s, 2, workflow="asks", status="completed") == []


async def test_times_bound_a_list():
    s, started = await many()
    at = {one.run: one.started for one in await runs.summaries(s.ledger.store)}
    found = await pages(s, 4, since=at[started[3]], until=at[started[8]])
    assert found == started[3:8][::-1]


async def test_each_goes_over_all_pages():
    s, started = await many()
    found = [one.run async for one in runs.each(s.ledger, runs.Filter())]
    assert found == started[::-1]


async def test_of_a_long_journal_the_first_event_and_the_newest_are_read():
    s, _ = await many()
    run = await s.engine.start("does", N(50))
    await s.engine.wait(run, timeout_ms=5000)
    whole = await s.ledger.store.read_stream(f"run/{run}")
    for limit in (2, 7, 51, 52, 60):
        events, earlier = await runs.journal(s.ledger.store, run, limit)
        assert earlier == max(0, len(whole) - limit)
        assert events == [whole[0], *whole[len(whole) - len(events) + 1 :]]
        assert len(events) == min(limit, len(whole))


async def test_the_tree_of_a_run_is_the_same_read_from_the_reading():
    s, started = await many()
    for run in started:
        told = await runs.summaries(s.ledger.store, run)
        read = await runs.tree(s.ledger, run)
        assert [(one.run, one.status, one.cost) for one in read[:1]] == [
            (one.run, one.status, one.cost) for one in told[:1]
        ]
        assert {one.run for one in read} == {one.run for one in told}
