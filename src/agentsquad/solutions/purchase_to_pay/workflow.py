"""The process itself: one run for a folder, one child run for each order.

Pure besides its context. Arithmetic is in `matching` and `settlement`, what is
allowed is asked of policy, judgement is asked of agents and checked, effects
are actions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from agentsquad.runtime.engine.contract import WorkflowContext, workflow
from agentsquad.solutions.purchase_to_pay import case, case_workflow, intake, reading, result
from agentsquad.solutions.purchase_to_pay.actions import (
    AckInput,
    FileRead,
    ReadInput,
    Scanned,
    ScreenInput,
)
from agentsquad.solutions.purchase_to_pay.case import Case, Contents, Rejection, cases_of
from agentsquad.solutions.purchase_to_pay.casework import CASE, CaseInput
from agentsquad.solutions.purchase_to_pay.contract import ScanInput
from agentsquad.solutions.purchase_to_pay.intake import Taken, repeated_interchanges
from agentsquad.solutions.purchase_to_pay.result import (
    CaseResult,
    Found,
    RunResult,
    add_up,
    count_kinds,
)
from agentsquad.solutions.purchase_to_pay.screening import Screening

NAME = "purchase-to-pay"


class FolderInput(msgspec.Struct, frozen=True, kw_only=True):
    """The folder to work through; `sanctions` is another folder with the list,
    by default the one beside the files. `side_by_side` bounds open cases.
    """

    folder: str
    sanctions: str | None = None
    side_by_side: int = 16
    auto: bool = False


@workflow(
    NAME,
    version="1",
    key_by="p2p.key",
    auto="data.p2p.auto.answer",
    example="p2p.example",
    safe_reads=("p2p.scan", "p2p.screen", "p2p.similarity", "payments.history"),
    uses=(case, case_workflow, intake, reading, result),
)
async def purchase_to_pay(ctx: WorkflowContext, value: FolderInput) -> RunResult:
    """Take every file of a folder from envelope to payment and say what it came
    to.
    """
    scanned: Scanned = await ctx.call("p2p.scan", ScanInput(folder=value.folder))
    limit = max(1, value.side_by_side)

    async def read(file: FileRead) -> Taken:
        taken: Taken = await ctx.call("p2p.read", ReadInput(file=file.file, blob=file.blob))
        return taken

    taken: list[Taken] = await ctx.map(read, scanned.files, limit=limit)
    again = repeated_interchanges(
        [(f.file.name, t) for f, t in zip(scanned.files, taken, strict=True)]
    )
    acknowledged = await _acknowledge(ctx, scanned, again, limit)
    contents = [_refused(f.file.name, t, again) for f, t in zip(scanned.files, taken, strict=True)]
    cases = cases_of(contents)
    screenings = await _screen(ctx, value, scanned, cases)
    thresholds = await ctx.query("data.p2p.screening", {})

    async def work(case: Case) -> CaseResult:
        vendor = scanned.master.vendor(case.vendor)
        given = CaseInput(
            case=case,
            vendor=vendor,
            buyer=scanned.master.buyer,
            screening=screenings.get(_name(case, scanned)),
            thresholds=thresholds,
            drafter=scanned.drafter,
        )
        result: CaseResult = await ctx.run(CASE, given, key=case.key)
        return result

    results: list[CaseResult] = await ctx.map(work, cases, limit=limit)
    return _total(value.folder, scanned, (acknowledged, contents), results)


async def _acknowledge(
    ctx: WorkflowContext, scanned: Scanned, again: dict[str, str], limit: int
) -> int:
    now = ctx.now_ms()

    async def acknowledge(file: FileRead) -> int:
        written = await ctx.call(
            "p2p.acknowledge",
            AckInput(
                file=file.file, blob=file.blob, at_ms=now, repeats=again.get(file.file.name, "")
            ),
        )
        return len(written.documents)

    return sum(await ctx.map(acknowledge, scanned.files, limit=limit))


def _refused(name: str, taken: Taken, again: dict[str, str]) -> Contents:
    """Return a file's contents; nothing of a repeated interchange counts."""
    if name not in again:
        return taken.contents
    held = taken.contents
    places = [
        *(one.place for one in held.orders),
        *(one.place for one in held.confirmations),
        *(one.place for one in held.shipments),
        *(one.place for one in held.invoices),
        *(one.place for one in held.rejections),
    ]
    place = next(iter(places), None)
    if place is None:
        return Contents()
    reason = f"the interchange number was used before in {again[name]}"
    rejection = Rejection(place=place, set_id="", kind="duplicate_interchange", reason=reason)
    return Contents(rejections=(rejection,))


def _name(case: Case, scanned: Scanned) -> str:
    """Return the name to screen: the vendor's on file, else as it writes
    itself."""
    vendor = scanned.master.vendor(case.vendor)
    if vendor is not None:
        return vendor.name
    return next((i.remit_name for i in case.invoices if i.remit_name), case.vendor)


async def _screen(
    ctx: WorkflowContext, value: FolderInput, scanned: Scanned, cases: Sequence[Case]
) -> dict[str, Screening]:
    names = sorted({_name(case, scanned) for case in cases if case.invoices})
    if not names:
        return {}
    folder = value.sanctions or (f"{value.folder}/sanctions" if scanned.sanctions else None)
    screened = await ctx.call("p2p.screen", ScreenInput(folder=folder, names=tuple(names)))
    return {one.name: one for one in screened.screenings}


def _total(
    folder: str,
    scanned: Scanned,
    read: tuple[int, Sequence[Contents]],
    results: Sequence[CaseResult],
) -> RunResult:
    acknowledged, contents = read
    in_cases = {result.po for result in results}
    loose = tuple(
        Found(
            kind=r.kind,
            disposition="reject",
            because=r.reason,
            po=r.po,
            document=r.place.text,
        )
        for part in contents
        for r in part.rejections
        if r.po not in in_cases
    )
    found: list[Any] = [one for result in results for one in result.exceptions]
    return RunResult(
        folder=folder,
        files=len(scanned.files),
        skipped=dict(scanned.skipped),
        acknowledgements=acknowledged,
        orders=len({o.po for part in contents for o in part.orders}),
        matched=sum(1 for r in results if r.outcome in ("paid", "partly_paid", "settled")),
        outcomes=dict(sorted(Counter(r.outcome for r in results).items())),
        exceptions=count_kinds([*found, *loose]),
        paid=add_up(r.paid for r in results),
        held=add_up(r.held for r in results),
        credited=add_up(r.credited for r in results),
        cases=tuple(results),
        loose=loose,
    )
