"""Actions of transactions: run one, find out about one, list them, recover."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.transactions.contract import Part, Participants
from agentsquad.runtime.transactions.coordinator import Coordinator, Settled
from agentsquad.runtime.transactions.standing import OPEN, Standing

TIMEOUT_MS = 30_000


class TransactInput(msgspec.Struct, frozen=True, kw_only=True):
    """What happens together or not at all."""

    parts: Annotated[
        tuple[Part, ...],
        Meta(
            description="What is done in each database.",
            min_length=1,
            examples=[[{"database": "orders", "statements": [{"sql": "delete from basket"}]}]],
        ),
    ]
    timeout_ms: Annotated[
        int, Meta(description="How long a database may take to promise, in ms.", ge=1)
    ] = TIMEOUT_MS


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, by part; `pending` are databases that have promised and
    could not be told yet."""

    key: str
    parts: tuple[dict[str, Any], ...]
    pending: tuple[str, ...] = ()


class ListInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions."""

    all: Annotated[bool, Meta(description="Also those that have ended everywhere.")] = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction as it is listed."""

    key: str
    state: str
    run: str
    since: str
    databases: tuple[str, ...]
    reason: str = ""


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions, oldest first."""

    items: tuple[Line, ...]


class RecoverInput(msgspec.Struct, frozen=True):
    """Nothing is asked."""


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery did; `strangers` are promised branches with our name that
    this log knows nothing of: they are not touched."""

    items: tuple[Settled, ...]
    strangers: tuple[str, ...]


def coordinator(ctx: Context) -> Coordinator:
    """Return what carries transactions out here."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    members = ctx.port(Participants)  # type: ignore[type-abstract]
    world = ctx.port(World)
    return Coordinator(store, members, world.clock, Reading.of(OPEN, store, world.ports))


@action("transactions.outcome", effect=Effect.READ, cli=())
async def outcome(ctx: Context, value: Reconcile) -> Reconciled:
    """Find out what became of a transaction whose step was interrupted.

    One that nobody decided is given up on the spot, so that the answer stays
    true.
    """
    here = coordinator(ctx)
    found = await last(here, value.key, str(ctx.actor), settle=True)
    if found is None or not found.commit:
        return Reconciled(found=False)
    left = () if found.ended else tuple(one.database for one in found.branches)
    done = Done(key=found.key, parts=tuple(found.output), pending=left)
    return Reconciled(found=True, output=msgspec.to_builtins(done))


async def last(here: Coordinator, key: str, actor: str, *, settle: bool = False) -> Standing | None:
    """Return the last attempt that was begun for a key, perhaps brought to its
    end."""
    found, number = None, 0
    while (one := await here.standing(attempt(key, number))) is not None:
        found, number = one, number + 1
    if found is not None and settle and not found.ended:
        found = await here.settle(found.key, actor)
    return found


def attempt(key: str, number: int) -> str:
    """Return the name of an attempt; the first is the key itself."""
    return key if number == 0 else f"{key}.{number}"


@action(
    "transactions.run",
    effect=Effect.WRITE,
    cli=(),
    reconcile="transactions.outcome",
)
async def transact(ctx: Context, value: TransactInput) -> Done:
    """Change several databases together or not at all (two-phase commit).

    Every database promises first, then the decision is written into the log,
    then every one is told. A database that cannot be told for a while is
    `pending`, and told by the next `squad transactions recover`.
    """
    here, actor = coordinator(ctx), str(ctx.actor)
    found = await last(here, ctx.idempotency_key, actor, settle=True)
    number = 0
    if found is not None:
        if found.commit:
            return Done(key=found.key, parts=tuple(found.output))
        number = int(found.key.partition(".")[2] or 0) + 1
    key = attempt(ctx.idempotency_key, number)
    parts, pending = await here.carry_out(
        key,
        value.parts,
        run=ctx.run_id or "",
        position="",
        actor=actor,
        timeout_ms=value.timeout_ms,
    )
    return Done(key=key, parts=tuple(parts), pending=pending)


@action(
    "transactions.list",
    effect=Effect.READ,
    cli=("transactions", "list"),
    examples=("squad transactions list", "squad transactions list --all"),
)
async def list_transactions(ctx: Context, value: ListInput) -> Lines:
    """List transactions over several databases that have not ended everywhere.

    What is undecided for longer than its time, or decided and not everywhere
    yet, holds locks in a database: `squad transactions recover` ends it.
    """
    found = [one async for one in coordinator(ctx).each(ended=value.all)]
    return Lines(
        items=tuple(
            Line(
                key=one.key,
                state=one.state,
                run=one.run,
                since=one.since,
                databases=tuple(branch.database for branch in one.branches),
                reason=one.reason,
            )
            for one in found
        )
    )


@action(
    "transactions.recover",
    effect=Effect.WRITE,
    cli=("transactions", "recover"),
    examples=("squad transactions recover",),
)
async def recover(ctx: Context, value: RecoverInput) -> Recovered:
    """Bring interrupted transactions to their end in every database.

    What was decided is told again; what nobody decided in its time is given up.
    Safe at any time and from any process: a coordinator that was only slow
    finds that it was decided without it, and gives up too.
    """
    done, strangers = await coordinator(ctx).recover(str(ctx.actor))
    return Recovered(items=tuple(done), strangers=tuple(strangers))
