"""Deploy: check, keep the source, make it the newest, move the runs it fits.

Crash-safe by order: blobs first, which nobody sees; then one event, which makes
the version the newest; then the runs, each by an event of its own that holds
only if its journal has not grown meanwhile. Whatever is cut off, no run is
without its code, and to deploy the same again does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.operations.deployment.check import Check, Target
from agentsquad.operations.deployment.contract import (
    MADE,
    STREAM,
    Checked,
    Closed,
    Kind,
    RaceError,
    Report,
    StrandedError,
)
from agentsquad.operations.deployment.stored import MEDIA, Shelf, short
from agentsquad.runtime.engine.versions import ADOPTED

TRIES = 3  # to move a run that goes on meanwhile


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How to deploy."""

    check: bool = False
    adopt: bool = True
    force: bool = False
    closed: int = 0
    seed: str = "1"
    reason: str = ""
    rollback: bool = False


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be deployed: the body of its event, what it keeps beside, and
    further events that belong to it."""

    name: str
    kind: Kind
    digest: str
    target: Target
    body: Mapping[str, Any]
    files: Mapping[str, bytes] = {}
    also: Sequence[NewEvent] = ()
    expect: Mapping[str, int] = {}
    current: str | None = None  # the version that serves now


class Deployer:
    """Carries one deployment out."""

    def __init__(
        self,
        store: EventStore,
        blobs: BlobStore,
        check: Check,
        actor: Actor,
        tell: Callable[..., None],
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._check = check
        self._actor = str(actor)
        self._tell = tell

    async def deploy(self, candidate: Candidate, shelf: Shelf, order: Order) -> Report:
        """Check, and unless only that was asked for, deploy."""
        seen = shelf.size
        counts, rows = await self._check.all_open(
            candidate.target, lambda done: self._tell(f"checked {done} open runs")
        )
        closed: Closed | None = None
        if order.closed:
            closed = await self._check.closed(
                candidate.target,
                order.closed,
                order.seed,
                lambda done: self._tell(f"checked {done} ended runs"),
            )
        report = Report(
            name=candidate.name,
            kind=candidate.kind,
            digest=candidate.digest,
            before=candidate.current,
            workflows=tuple(candidate.body["workflows"]),
            open=counts.total(),
            continue_=counts["continue"],
            pinned=counts["pinned"],
            stuck=counts["stuck"],
            runs=rows,
            closed=closed,
            unchanged=candidate.current == candidate.digest,
        )
        if order.check:
            return report
        if report.stuck and not order.force:
            raise stranded(report)
        if not report.unchanged:
            await self._make(candidate, seen, order)
        adopted = await self._adopt(candidate, order) if order.adopt else 0
        return msgspec.structs.replace(report, deployed=True, adopted=adopted)

    async def _make(self, candidate: Candidate, seen: int, order: Order) -> None:
        """Keep the source and make it the newest, unless somebody else deployed
        since it was looked at."""
        files = {}
        for path, data in candidate.files.items():
            files[path] = await self._blobs.put(data, MEDIA)
        body = {
            **candidate.body,
            "name": candidate.name,
            "digest": candidate.digest,
            "kind": candidate.kind,
            "reason": order.reason,
            "before": candidate.current,
            **({"files": files} if files else {}),
            **({"rollback": True} if order.rollback else {}),
        }
        made = NewEvent(stream=STREAM, type=MADE, payload=body, actor=self._actor)
        try:
            await self._store.append(
                [made, *candidate.also], expect={STREAM: seen, **candidate.expect}
            )
        except ConflictError as error:
            raise RaceError(
                f"somebody else deployed while {candidate.name} was checked; nothing was changed",
                hint="squad deployments list shows what; then deploy again",
            ) from error

    async def _adopt(self, candidate: Candidate, order: Order) -> int:
        """Move the runs that the new version fits; return how many."""
        moved = 0
        async for run in self._check.open_runs(candidate.target, past=candidate.digest):
            if await self._move(run, candidate, order):
                moved += 1
                self._tell(f"moved {moved} runs")
        return moved

    async def _move(self, run: str, candidate: Candidate, order: Order) -> bool:
        for _ in range(TRIES):
            checked = await self._check.one(run, candidate.target)
            if checked is None or checked.verdict != "continue":
                return False
            told = self.moving(checked, candidate, order)
            if told is None:
                return False
            try:
                await self._store.append([told], expect={told.stream: checked.events})
            except ConflictError:
                continue  # it has gone on: look again
            return True
        return False  # it stays where it is, which is always safe

    def moving(self, checked: Checked, candidate: Candidate, order: Order) -> NewEvent | None:
        """Return the event that moves a run, None where it runs under the
        version already."""
        if checked.version == candidate.digest:
            return None
        version = candidate.target.version(candidate.target.workflows[0])
        body = {
            "definition": candidate.digest,
            "was": checked.version,
            "reason": order.reason or f"deployed {candidate.name} {short(candidate.digest)}",
        }
        if candidate.kind == "manifest":
            assert version is not None
            body |= {"definition": version.workflow.digest, "manifest": candidate.digest}
        return NewEvent(
            stream=f"run/{checked.run}",
            type=ADOPTED,
            payload=body,
            actor=self._actor,
            correlation=checked.run.partition("/")[0],
        )


def stranded(report: Report) -> StrandedError:
    """Return the refusal of a deployment that leaves runs without code."""
    stuck = [one for one in report.runs if one.verdict == "stuck"]
    return StrandedError(
        f"{len(stuck)} of {report.open} open runs could not go on: "
        f"run {stuck[0].run}: {stuck[0].why}",
        hint="squad deploy FILE --check names each with what can be done; --force deploys anyway",
        details={"runs": [one.run for one in stuck[:100]], "stuck": report.stuck},
    )
