"""Gives back what was reserved by calls that nobody will ever settle.

A crash leaves a reservation. The resumed step finds its own by the same key;
what is left over belongs to runs that have ended, or to calls outside of any
run. Apart from the keeper, which never decides that a call is dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.event import Event
from agentsquad.kernel.ids import rfc3339
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import TYPES
from agentsquad.runtime.resilience.ended import RUN, ended

MINUTE_MS = 60_000
_PAGE = 1000


class ReleaseInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which reservations, and why."""

    reason: Annotated[str, msgspec.Meta(description="Why; kept in the log.")]
    older_minutes: Annotated[
        int,
        msgspec.Meta(
            description="Of an open run, or of none: only what was reserved this long ago. "
            "A call that still works is younger.",
            ge=1,
        ),
    ] = 60
    spent: Annotated[
        bool, msgspec.Meta(description="Count what was reserved as spent: it may have been.")
    ] = False


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Money held for one call; `micros` None where the price was unknown."""

    id: str
    scopes: tuple[str, ...]
    currency: str
    micros: int | None
    since: str


class ReleasedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One reservation that was ended."""

    id: str
    scopes: tuple[str, ...]
    reserved: str
    currency: str
    since: str
    because: str


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What was ended, and how many reservations stay open."""

    items: tuple[ReleasedLine, ...]
    spent: bool
    open: int


def open_reservations(events: Iterable[Event]) -> list[Reservation]:
    """Return what is reserved and neither settled nor released, oldest
    first."""
    found: dict[str, Reservation] = {}
    for event in events:
        body = event.payload
        held = found.get(body.get("id", ""))
        scope = body["scope"]
        if event.type == "budget.reserved":
            found[body["id"]] = Reservation(
                id=body["id"],
                scopes=(*(held.scopes if held else ()), scope),
                currency=body["currency"],
                micros=body["micros"],
                since=held.since if held else event.time,
            )
        elif held is not None:
            rest = tuple(one for one in held.scopes if one != scope)
            found[held.id] = msgspec.structs.replace(held, scopes=rest)
    return [one for one in found.values() if one.scopes]


def left_over(held: Reservation, endings: dict[str, str], before: str) -> str | None:
    """Return why nobody will settle a reservation; None when somebody may."""
    for scope in held.scopes:
        if scope in endings:
            return f"run {scope.removeprefix(RUN)} has {endings[scope]}"
    return f"reserved before {before}" if held.since < before else None


@action(
    "budget.release",
    effect=Effect.WRITE,
    cli=("budget", "release"),
    examples=(
        "squad budget release --reason 'the machine was lost'",
        "squad budget release --older-minutes 5 --spent --reason 'killed; the calls were made'",
    ),
)
async def release_budgets(ctx: Context, input: ReleaseInput) -> Released:
    """Give back what a crash left reserved.

    A resumed run settles its own reservations. What is left is of runs that
    have ended, and of calls outside of runs that were ended by force.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    keeper = ctx.port(BudgetKeeper)
    opened = open_reservations(await _events(store))
    endings = await _endings(store, opened)
    before = rfc3339(ctx.now_ms() - input.older_minutes * MINUTE_MS)
    lines = []
    for held in opened:
        because = left_over(held, endings, before)
        if because is None:
            continue
        if input.spent:
            await keeper.settle(held.id, held.scopes, None)
        else:
            await keeper.release(held.id, held.scopes, f"{input.reason} ({ctx.actor}; {because})")
        lines.append(_line(held, because))
    return Released(items=tuple(lines), spent=input.spent, open=len(opened) - len(lines))


async def _events(store: EventStore) -> list[Event]:
    found: list[Event] = []
    while batch := await store.read(after=found[-1].seq if found else 0, limit=_PAGE, types=TYPES):
        found += batch
    return found


async def _endings(store: EventStore, opened: Iterable[Reservation]) -> dict[str, str]:
    scopes = {s for one in opened for s in one.scopes if s.startswith(RUN)}
    found = {scope: await ended(store, scope.removeprefix(RUN)) for scope in sorted(scopes)}
    return {scope: how for scope, how in found.items() if how is not None}


def _line(held: Reservation, because: str) -> ReleasedLine:
    return ReleasedLine(
        id=held.id,
        scopes=held.scopes,
        reserved="" if held.micros is None else Money(held.micros, held.currency).decimal(),
        currency=held.currency,
        since=held.since,
        because=because,
    )
