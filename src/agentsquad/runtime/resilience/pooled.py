"""The action that shows pools: who has a place, and who waits for one."""

from __future__ import annotations

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.money import Money
from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.contract import Board, PoolLoad
from agentsquad.runtime.resilience.pools import Pools


class ListInput(msgspec.Struct, frozen=True):
    """Nothing is asked."""


class PoolLine(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a pool: what is used of what it has."""

    pool: str
    node: str
    slots: str
    cpu: str
    memory: str
    gpu: str
    busy: int
    waiting: int
    stolen: int
    refused: int
    cost_hour: str


class PoolLines(msgspec.Struct, frozen=True, kw_only=True):
    """Every node of every pool; what is busy and waits is that of the pool."""

    running: bool
    items: tuple[PoolLine, ...]


@action("pools.list", effect=Effect.READ, cli=("pools",), examples=("squad pools",))
async def list_pools(ctx: Context, value: ListInput) -> PoolLines:
    """Show the places of every pool: who has one and how many wait.

    A pool is declared by a resource of kind Pool. Where another process drives
    the runs, it is asked how they stand, about a second ago.
    """
    admission: Admission = ctx.port(Admission)
    own = await ctx.port(Pools).load()
    shown = None if admission.bound else ctx.port(Board).read()  # type: ignore[type-abstract]
    theirs = {} if shown is None else {one.name: one for one in shown.pools}
    loads = [theirs.get(one.name, one) for one in own]
    return PoolLines(
        running=admission.bound or shown is not None,
        items=tuple(line for load in loads for line in _lines(load)),
    )


def _lines(load: PoolLoad) -> list[PoolLine]:
    return [
        PoolLine(
            pool=load.name,
            node=node.name,
            slots=_of(node.used[0], node.has[0]),
            cpu=_of(node.used[1], node.has[1], 1000),
            memory=_of(node.used[2], node.has[2], 1 << 30),
            gpu=_of(node.used[3], node.has[3]),
            busy=load.busy,
            waiting=load.waiting,
            stolen=load.stolen,
            refused=load.refused,
            cost_hour=Money(load.cost, "USD").decimal(),
        )
        for node in load.nodes
    ]


def _of(used: int, has: int | None, unit: int = 1) -> str:
    """Return "3/8", or "3" of what is without end; a gigabyte or a processor
    is 1."""
    return f"{used / unit:g}" if has is None else f"{used / unit:g}/{has / unit:g}"
