"""Check: what a new version means to the runs that are open.

A run *continues* when its journal fits the new version, and may be moved to it.
Otherwise it stays *pinned* to the version it runs under, if the code of that is
here and still fits. It is *stuck* when neither holds. Ended runs can be looked
at as well; nothing is to be done about those.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.operations.deployment.contract import Checked, Closed
from agentsquad.operations.deployment.fit import Misfit, misfit
from agentsquad.operations.deployment.remedy import remedies
from agentsquad.operations.deployment.stored import short
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.engine.versions import Pin, Version, Versions, pins
from agentsquad.runtime.engine.waiting import DEFINITIONS, WAITING
from agentsquad.runtime.ledger.contract import Ledger, Query

PAGE = 500
ROWS_MAX = 10_000  # runs that continue, named in one report

Tell = Callable[[int], None]


class Target:
    """What is to be deployed, as runs see it.

    `version` returns what a run of a workflow would run under, None where the
    new code has no such workflow any more. `name` is the manifest's, for a
    manifest; its runs are those of the interpreter.
    """

    def __init__(
        self,
        workflows: Sequence[str],
        version: Callable[[str], Version | None],
        name: str | None = None,
    ) -> None:
        self.workflows = tuple(workflows)
        self.version = version
        self.name = name

    def concerns(self, started: Event) -> bool:
        """Whether a run is one of this."""
        body = started.payload or {}
        if self.name is None or body.get("input") is None:
            return True
        return bool(body["input"].get("name") == self.name)


class Check:
    """Looks at the runs of one installation."""

    def __init__(
        self,
        store: EventStore,
        blobs: BlobStore,
        ledger: Ledger,
        versions: Versions,
        known: frozenset[str],
    ) -> None:
        """`known` are the names of the actions that remedies may name."""
        self._store = store
        self._blobs = blobs
        self._ledger = ledger
        self._versions = versions
        self._known = known

    async def open_runs(self, target: Target, past: str | None = None) -> AsyncIterator[str]:
        """Yield the open runs of these workflows, page by page, but for those
        that are under the version `past` already."""
        for workflow in target.workflows:
            async for run in open_of(self._ledger, workflow, past):
                yield run

    async def all_open(self, target: Target, tell: Tell) -> tuple[Counter[str], list[Checked]]:
        """Return how many open runs continue, stay pinned and are stuck, and
        what becomes of each, those past the change first.

        Of those that continue no more than the first ROWS_MAX are told.
        """
        counts: Counter[str] = Counter()
        found = []
        async for run in self.open_runs(target):
            checked = await self.one(run, target)
            if checked is not None:
                counts[checked.verdict] += 1
                if checked.verdict != "continue" or counts["continue"] <= ROWS_MAX:
                    found.append(checked)
                tell(counts.total())
        order = {"stuck": 0, "pinned": 1, "continue": 2}
        return counts, sorted(found, key=lambda one: order[one.verdict])

    async def one(self, run: str, target: Target) -> Checked | None:
        """Return what becomes of an open run; None if it has ended or is of
        something else."""
        events = await self._store.read_stream(f"run/{run}")
        if not events or events[-1].type in END_EVENTS:
            return None
        if not target.concerns(events[0]):
            return None
        try:
            pin = pins(events)[-1]
        except (KeyError, TypeError):
            return self._stuck(
                run, "", events, Misfit(at=events[0].seq, why="its first event was erased")
            )
        new = target.version(pin.workflow)
        children = await self._children(run)
        version = pin.definition
        if target.name is not None:
            version = pin.manifest or str(events[0].payload["input"].get("digest"))
        past: Misfit | None = Misfit(
            at=events[0].seq, why=f"the new code has no workflow {pin.workflow}", field="/workflow"
        )
        if new is not None:
            past = await misfit(run, events, children, new, self._blobs)
            past = past or _rules_changed(events, new)
        if past is None:
            return self._continues(run, version, events)
        if past.blind:
            return self._stuck(run, pin.workflow, events, past, version)
        why = await self._lost(run, pin, events, children)
        if why is not None:
            return self._stuck(run, pin.workflow, events, past, version, why)
        name = f"version {short(version)}"
        return Checked(
            run=run,
            workflow=target.name or pin.workflow,
            verdict="pinned",
            remedy=remedies(self._known, run, past.step, name),
            version=version,
            events=events[-1].stream_seq,
            **_place(past),
        )

    async def _lost(
        self, run: str, pin: Pin, events: Sequence[Event], children: Sequence[Event]
    ) -> str | None:
        """Return why a run cannot stay where it is, None if it can."""
        try:
            old = await self._versions.pinned(run, pin)
        except SquadError as error:
            return f"its own version cannot be had: {error.message}"
        found = await misfit(run, events, children, old, self._blobs)
        return None if found is None else f"its own version does not fit it either: {found.why}"

    @staticmethod
    def _continues(run: str, version: str, events: Sequence[Event]) -> Checked:
        return Checked(
            run=run,
            workflow=_name(events[0]),
            verdict="continue",
            version=version,
            events=events[-1].stream_seq,
        )

    def _stuck(
        self,
        run: str,
        workflow: str,
        events: Sequence[Event],
        past: Misfit,
        version: str = "",
        why: str | None = None,
    ) -> Checked:
        place = _place(past)
        if why is not None:
            place["why"] = f"{past.why}; {why}"
        return Checked(
            run=run,
            workflow=workflow,
            verdict="stuck",
            remedy=remedies(self._known, run, past.step, None),
            version=version,
            events=events[-1].stream_seq,
            **place,
        )

    async def _children(self, run: str) -> list[Event]:
        """Return the first event of each run that this one began."""
        found = []
        for stream, _ in await self._store.streams(f"run/{run}/"):
            if "/" not in stream.removeprefix(f"run/{run}/"):
                found += await self._store.read_stream(stream, limit=1)
        return found

    async def closed(self, target: Target, count: int, seed: str, tell: Tell) -> Closed:
        """Return what the new version makes of ended runs, drawn by a seed."""
        drawn: list[tuple[bytes, str]] = []
        names = target.workflows if target.name is None else (target.name,)
        after = None
        while True:
            query = Query(order=("id",), after=after, limit=PAGE)
            rows = await self._ledger.readings.select("runs", query)
            ended = [
                (hashlib.sha256(f"{seed}\n{row['id']}".encode()).digest(), str(row["id"]))
                for row in rows
                if row["ended"] is not None and row["workflow"] in names
            ]
            drawn = heapq.nsmallest(count, [*drawn, *ended])
            if len(rows) < PAGE:
                break
            after = (rows[-1]["id"],)
        different = []
        for done, (_, run) in enumerate(drawn, start=1):
            tell(done)
            events = await self._store.read_stream(f"run/{run}")
            new = target.version(events[0].payload["workflow"]) if events[0].payload else None
            found = (
                await misfit(run, events, (), new, self._blobs)
                if new is not None
                else Misfit(at=events[0].seq, why="the new code has no such workflow")
            )
            if found is not None:
                different.append(
                    Checked(
                        run=run,
                        workflow=_name(events[0]),
                        verdict="stuck" if found.blind else "pinned",
                        status=events[-1].type.removeprefix("run."),
                        events=events[-1].stream_seq,
                        **_place(found),
                    )
                )
        return Closed(
            checked=len(drawn), same=len(drawn) - len(different), different=different, seed=seed
        )


async def open_of(ledger: Ledger, workflow: str, past: str | None = None) -> AsyncIterator[str]:
    """Yield the open runs of one workflow, page by page; who moves them to the
    version `past` meanwhile moves none twice."""
    reading = Reading(WAITING, ledger.store, ledger.readings)
    versions = [row async for row in reading.each(("definition",), DEFINITIONS, workflow=workflow)]
    for row in versions:
        if row["definition"] != past:
            pinned = {"workflow": workflow, "definition": row["definition"]}
            async for run in reading.each(("seq",), **pinned):
                yield str(run["run"])


def _name(started: Event) -> str:
    body = started.payload or {}
    value = body.get("input")
    if body.get("workflow") == "agent-workflow" and isinstance(value, dict):
        return str(value.get("name"))
    return str(body.get("workflow", ""))


def _place(found: Misfit) -> dict[str, Any]:
    return {
        "at": found.at,
        "step": found.step,
        "field": found.field,
        "was": found.was,
        "now": found.now,
        "why": found.why,
    }


def _rules_changed(events: Sequence[Event], new: Version) -> Misfit | None:
    """Return the approval that other rules would make stale."""
    revision = new.world.policy.revision
    for event in events:
        body = event.payload
        if event.type == "approval.requested" and body["policy"] != revision:
            return Misfit(
                at=event.seq,
                why=f"event {event.seq}: the approval at step {body['position']} is bound to "
                "other rules than the new version brings",
                step=body["position"],
                field="/policy",
                was=body["policy"],
                now=revision,
            )
    return None
