"""How far a run has come that has not ended: what its orders came to so far,
and whether only people can help it on.

Read from the log and the engine; decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.state import ENDED
from agentsquad.solutions.purchase_to_pay.result import (
    CaseResult,
    RunResult,
    add_up,
    count_kinds,
)

PAID = ("paid", "partly_paid", "settled")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a run and those below it stand; two that are equal say that nothing
    has happened between them."""

    streams: tuple[tuple[str, int], ...]
    only_people: bool


async def standing(store: EventStore, engine: Engine, run: str) -> Standing:
    """Return how a run and all below it stand now: busy, or waiting."""
    streams = [*await store.streams(f"run/{run}/"), (f"run/{run}", 0)]
    busy = False
    for name, _ in streams:
        busy = busy or (await engine.outcome(name.removeprefix("run/"))).status == "running"
    return Standing(streams=tuple(sorted(streams)), only_people=not busy)


class Orders:
    """How many orders are begun and how many done; what is done is not read
    again."""

    def __init__(self, store: EventStore, engine: Engine, run: str) -> None:
        self._store, self._engine, self._run = store, engine, run
        self._done: set[str] = set()

    async def told(self) -> str:
        """Return both in words."""
        begun = [
            name.removeprefix("run/")
            for name, _ in await self._store.streams(f"run/{self._run}/")
            if name.count("/") == 2
        ]
        for child in begun:
            if child not in self._done and (await self._engine.outcome(child)).status in ENDED:
                self._done.add(child)
        return f"{len(self._done)} of {len(begun)} orders done"


async def finished_cases(store: EventStore, engine: Engine, run: str) -> list[CaseResult]:
    """Return what the orders came to that are done, in the order they were
    begun."""
    found = []
    for name, _ in await store.streams(f"run/{run}/"):
        child = name.removeprefix("run/")
        if child.count("/") != 1:
            continue
        outcome = await engine.outcome(child)
        if outcome.status == "completed":
            found.append(msgspec.convert(outcome.output, CaseResult, strict=False))
    return found


def so_far(cases: Sequence[CaseResult]) -> RunResult:
    """Return the totals of some orders; what is of the folder is left out."""
    return RunResult(
        folder="",
        files=0,
        skipped={},
        acknowledgements=0,
        orders=len({case.po for case in cases}),
        matched=sum(1 for case in cases if case.outcome in PAID),
        outcomes=dict(sorted(Counter(case.outcome for case in cases).items())),
        exceptions=count_kinds(one for case in cases for one in case.exceptions),
        paid=add_up(case.paid for case in cases),
        held=add_up(case.held for case in cases),
        credited=add_up(case.credited for case in cases),
        cases=tuple(cases),
    )
