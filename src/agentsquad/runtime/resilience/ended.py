"""Refuses a budget that could never bind: of a run that has ended, of a part of
a run, or of a run whose id was cut short.

Apart from the book, which knows money and no runs.
"""

from __future__ import annotations

from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.ledger.standard import ENDS
from agentsquad.runtime.resilience.contract import BudgetInvalidError, BudgetRunEndedError

RUN = "run:"


async def refuse_unbinding(store: EventStore, scope: str) -> None:
    """Refuse a limit for a scope that nothing will ever be spent in; a run that
    has not begun yet is none of those."""
    if not scope.startswith(RUN):
        return
    run = scope.removeprefix(RUN)
    root = run.partition("/")[0]
    if root != run:
        raise BudgetInvalidError(
            f"{scope!r} is a part of a run, and budgets are kept for whole runs",
            hint=f"squad budget set {RUN}{root} AMOUNT CURRENCY",
        )
    how = await ended(store, run)
    if how is not None:
        raise BudgetRunEndedError(
            f"run {run} has {how}: it spends nothing any more",
            hint="set the budget of a run that is open, or of a tenant, step or agent for later",
            details={"run": run, "status": how},
        )
    if await store.read_stream(f"run/{run}", limit=1):
        return
    begun = {name.removeprefix("run/") for name, _ in await store.streams(f"run/{run}")}
    meant = sorted(one for one in begun if "/" not in one)
    if meant:
        raise BudgetInvalidError(
            f"no run {run!r}; a budget names a run by its whole id",
            hint="did you mean " + " or ".join(RUN + one for one in meant[:3]) + "?",
        )


async def ended(store: EventStore, run: str) -> str | None:
    """Return how a run has ended; None while it is open, or was never begun."""
    streams = dict(await store.streams(f"run/{run}"))
    version = streams.get(f"run/{run}", 0)
    last = await store.read_stream(f"run/{run}", after=version - 1) if version else []
    return ENDS.get(last[-1].type) if last else None
