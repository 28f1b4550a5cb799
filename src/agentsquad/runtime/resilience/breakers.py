"""Actions on breakers: how they stand, and a person who opens or closes one."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.resilience.breaker import CLOSED, HALF_OPEN, OPEN, PERSON
from agentsquad.runtime.resilience.contract import GuardSource
from agentsquad.runtime.resilience.guard import STREAM, GuardRule, worded

STATES = {
    "breaker.opened": OPEN,
    "breaker.half_opened": HALF_OPEN,
    "breaker.closed": CLOSED,
}
Name = Annotated[str, Meta(description="the breaker, as `squad breakers list` names it")]
Reason = Annotated[str, Meta(description="why, for the log", examples=["maintenance"])]


class ListInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which breakers."""

    name: Annotated[str, Meta(description="Only those that begin so.", examples=["bank"])] = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one breaker stands; `until_ms` is when it lets a probe pass."""

    name: str
    state: str
    since: str = ""
    because: str = ""
    until_ms: int | None = None
    opened: int = 0


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """How the breakers stand."""

    items: tuple[Standing, ...]


class TurnInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which breaker, and why."""

    name: Name
    reason: Reason


@action(
    "breakers.list",
    effect=Effect.READ,
    cli=("breakers", "list"),
    examples=("squad breakers list", "squad breakers list --name bank"),
)
async def list_breakers(ctx: Context, value: ListInput) -> Standings:
    """List breakers: closed, open or half-open, since when and why.

    A breaker is declared by a resource of kind Guard. One that was never open
    is listed too; NAME/* stands for all of a guard that keeps values apart.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    found = {}
    for rule in await _declared(ctx):
        if rule.breaker is not None:
            name = rule.name if rule.by is None else f"{rule.name}/*"
            found[name] = Standing(name=name, state=CLOSED)
    for stream, _ in await store.streams(STREAM):
        name = stream.removeprefix(STREAM)
        found[name] = standing(name, await store.read_stream(stream))
    items = [found[name] for name in sorted(found) if name.startswith(value.name)]
    return Standings(items=tuple(items))


@action(
    "breakers.open",
    effect=Effect.WRITE,
    cli=("breakers", "open"),
    positional=("name",),
    examples=("squad breakers open bank --reason maintenance",),
)
async def open_breaker(ctx: Context, value: TurnInput) -> Standing:
    """Open a breaker by hand: no call is made until somebody closes it."""
    body = {"measure": PERSON, "by": str(ctx.actor), "reason": value.reason, "until_ms": None}
    return await _turn(ctx, value.name, "breaker.opened", body)


@action(
    "breakers.close",
    effect=Effect.WRITE,
    cli=("breakers", "close"),
    positional=("name",),
    examples=("squad breakers close bank --reason 'they are back'",),
)
async def close_breaker(ctx: Context, value: TurnInput) -> Standing:
    """Close a breaker by hand: calls are made again, and watched as before."""
    body = {"by": str(ctx.actor), "reason": value.reason}
    return await _turn(ctx, value.name, "breaker.closed", body)


async def _turn(ctx: Context, name: str, kind: str, body: dict[str, Any]) -> Standing:
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    rules = [rule for rule in await _declared(ctx) if rule.breaker is not None]
    events = await store.read_stream(STREAM + name)
    if not events and not any(name == r.name or name.startswith(f"{r.name}/") for r in rules):
        raise MissingError(
            f"no breaker {name!r}",
            code="breaker.missing",
            hint=nearest(name, [rule.name for rule in rules])
            or "apply a Guard with a breaker first",
        )
    written = await store.append(
        [
            NewEvent(
                stream=STREAM + name,
                type=kind,
                payload={"breaker": name, **body},
                actor=str(ctx.actor),
            )
        ]
    )
    return standing(name, [*events, *written])


async def _declared(ctx: Context) -> list[GuardRule]:
    return list(await ctx.port(GuardSource).guards())  # type: ignore[type-abstract]


def standing(name: str, events: list[Event]) -> Standing:
    """Return how a breaker stands after its events."""
    last = events[-1]
    body = last.payload or {}
    because = next((e.payload or {} for e in reversed(events) if e.type == "breaker.opened"), {})
    return Standing(
        name=name,
        state=STATES[last.type],
        since=last.at.partition("/")[0],
        because=worded(because) if STATES[last.type] != CLOSED else "",
        until_ms=body.get("until_ms"),
        opened=sum(event.type == "breaker.opened" for event in events),
    )
