"""Pools: the places that steps of runs share, live.

A step that a pool matches waits for a place in it and gives it back when it
has ended. A pool whose line is full refuses (back-pressure: the step is tried
again as its policy says); after `overflow_after_ms` a step may go to another
pool; and a pool that has room and nobody waiting takes steps out of the lines
of the pools it steals from (Blumofe and Leiserson, 1999).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

import msgspec

from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.pointer import get
from agentsquad.kernel.ports import Clock
from agentsquad.runtime.resilience.contract import (
    PoolFullError,
    PoolLoad,
    PoolNeedError,
    PoolNodeLoad,
)
from agentsquad.runtime.resilience.places import LEVELS, Need, Places, PlacesRule, Ticket

FRESH_MS = 1_000  # after which it is looked for pools that were applied meanwhile


class Priority(msgspec.Struct, frozen=True, kw_only=True):
    """Who has which level; the first that matches counts."""

    match: tuple[str, ...]
    level: int


class PoolRule(msgspec.Struct, frozen=True, kw_only=True):
    """One declared pool; `match` are actions, or agents as agent:NAME, with *
    for any letters."""

    name: str
    match: tuple[str, ...]
    places: PlacesRule
    each: Need = Need()
    by: str = "actor"
    waiting: int = 10_000
    patience_ms: int | None = None
    overflow_to: str | None = None
    overflow_after_ms: int = 0
    steals_from: tuple[str, ...] = ()
    priorities: tuple[Priority, ...] = ()


class PoolSource(Protocol):
    """Where pools are declared, and what agents need."""

    async def pools(self) -> Sequence[PoolRule]:
        """Return every pool in force."""
        ...

    async def needs(self) -> Mapping[str, Need]:
        """Return what one turn of an agent takes, by the agent's name."""
        ...


class Asker(NamedTuple):
    """Who wants a place, for which action, in which root run."""

    action: str
    actor: str
    workflow: str
    run: str
    input: Any


class Held(NamedTuple):
    """A place that was given, after how long."""

    pool: str
    node: str
    waited_ms: float


class _Wish:
    """Somebody in a line, and the promise of a place."""

    __slots__ = ("held", "pool", "since", "ticket")

    def __init__(self, pool: _Pool, ticket: Ticket, since: float) -> None:
        self.pool = pool
        self.ticket = ticket
        self.since = since
        self.held: asyncio.Future[Held] = asyncio.get_running_loop().create_future()


class _Pool:
    """One pool, live."""

    def __init__(self, rule: PoolRule) -> None:
        self.rule = rule
        self.places = Places(rule.places)
        self.wishes: dict[int, _Wish] = {}
        self.stolen = 0
        self.refused = 0


class Pools:
    """Every pool of an installation."""

    def __init__(self, source: PoolSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._pools: dict[str, _Pool] = {}
        self._needs: Mapping[str, Need] = {}
        self._read_ms: float | None = None

    def none(self) -> bool:
        """Whether there surely is no pool: it was looked for a moment ago."""
        if self._pools or self._read_ms is None:
            return False
        return self._clock.monotonic_ms() - self._read_ms < FRESH_MS

    async def of(self, asker: Asker) -> PoolRule | None:
        """Return the pool of a step: the one whose pattern has most letters;
        None if it needs no place."""
        now = self._clock.monotonic_ms()
        if self._read_ms is None or now - self._read_ms >= FRESH_MS:
            await self._read(now)
        best: tuple[int, PoolRule] | None = None
        for pool in self._pools.values():
            for pattern in pool.rule.match:
                weight = len(pattern) - pattern.count("*")
                hit = fnmatchcase(asker.action, pattern) or fnmatchcase(asker.actor, pattern)
                if hit and (best is None or weight > best[0]):
                    best = (weight, pool.rule)
        return None if best is None else best[1]

    @asynccontextmanager
    async def place(self, name: str, asker: Asker) -> AsyncIterator[Held]:
        """Hold a place around a block; PoolFullError when the line is full or
        patience ends."""
        wish = self._join(self._pools[name], asker)
        try:
            yield await self._patiently(wish, asker)
        finally:
            self._leave(wish)

    def _join(self, pool: _Pool, asker: Asker) -> _Wish:
        rule = pool.rule
        need = self._need(rule, asker)
        if not pool.places.possible(need):
            raise PoolNeedError(
                f"pool {rule.name} could never hold {asker.action}: it needs {worded(need)}",
                hint="give the pool a node that is large enough, or need less",
            )
        now = self._clock.monotonic_ms()
        ticket = pool.places.wait(flow_of(rule, asker), level_of(rule, asker), need, now)
        wish = pool.wishes[ticket.id] = _Wish(pool, ticket, now)
        self._give(pool)
        self._steal()
        if not wish.held.done() and len(pool.places.waiting) > rule.waiting:
            pool.refused += 1
            self._forget(wish)
            raise self._full(rule, "its line is full")
        return wish

    async def _patiently(self, wish: _Wish, asker: Asker) -> Held:
        """Wait for the place; move on to another pool, or give up, when it
        takes too long."""
        rule = wish.pool.rule
        if wish.held.done():
            return wish.held.result()
        if rule.overflow_to in self._pools:
            if await self._within(wish, rule.overflow_after_ms):
                return wish.held.result()
            self._move(wish, self._pools[str(rule.overflow_to)], asker)
        if rule.patience_ms is None:
            return await asyncio.shield(wish.held)
        if await self._within(wish, rule.patience_ms):
            return wish.held.result()
        wish.pool.refused += 1
        raise self._full(rule, f"no place became free in {rule.patience_ms} ms")

    async def _within(self, wish: _Wish, duration_ms: float) -> bool:
        """Whether the place comes in this time."""
        alarm = asyncio.ensure_future(self._clock.sleep_ms(duration_ms))
        try:
            await asyncio.wait((wish.held, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
        return wish.held.done()

    def _move(self, wish: _Wish, pool: _Pool, asker: Asker) -> None:
        """Join another pool's line in the place of this one, if it can hold
        it."""
        if not pool.places.possible(wish.ticket.need):
            return
        self._forget(wish)
        now = self._clock.monotonic_ms()
        ticket = wish.ticket
        wish.ticket = pool.places.wait(ticket.flow, ticket.level, ticket.need, now)
        wish.pool = pool
        pool.wishes[wish.ticket.id] = wish
        self._give(pool)

    def _forget(self, wish: _Wish) -> None:
        wish.pool.wishes.pop(wish.ticket.id, None)
        wish.pool.places.leave(wish.ticket)

    def _leave(self, wish: _Wish) -> None:
        self._forget(wish)
        wish.held.cancel()
        self._give(wish.pool)
        self._steal()

    def _give(self, pool: _Pool) -> None:
        now = self._clock.monotonic_ms()
        for ticket, node in pool.places.give(now):
            self._tell(pool.wishes[ticket.id], node, now)

    def _tell(self, wish: _Wish, node: str, now: float) -> None:
        held = Held(wish.pool.rule.name, node, round(now - wish.since, 3))
        if not wish.held.done():
            wish.held.set_result(held)

    def _steal(self) -> None:
        """Let pools with room and nobody waiting take from those they may."""
        now = self._clock.monotonic_ms()
        for thief in self._pools.values():
            for name in thief.rule.steals_from:
                victim = self._pools.get(name)
                for ticket in victim.places.line(now) if victim is not None else ():
                    given = thief.places.adopt(ticket, now)
                    if given is None:
                        continue
                    assert victim is not None
                    wish = victim.wishes[ticket.id]
                    self._forget(wish)
                    wish.pool, wish.ticket = thief, given.ticket
                    thief.wishes[given.ticket.id] = wish
                    thief.stolen += 1
                    self._tell(wish, given.node, now)

    def _need(self, rule: PoolRule, asker: Asker) -> Need:
        kind, _, name = asker.actor.partition(":")
        return self._needs.get(name, rule.each) if kind == "agent" else rule.each

    def _full(self, rule: PoolRule, why: str) -> PoolFullError:
        return PoolFullError(
            f"pool {rule.name} has no place: {why}",
            details={"pool": rule.name, "sent": False},
            retry_after_ms=rule.patience_ms or FRESH_MS,
        )

    async def _read(self, now: float) -> None:
        """Take over what is declared now; who holds or waits for a place of a
        pool that changed keeps it there."""
        self._read_ms = now
        rules = await self._source.pools()
        self._needs = await self._source.needs() if rules else {}
        pools = {}
        for rule in rules:
            known = self._pools.get(rule.name)
            pools[rule.name] = known if known is not None and known.rule == rule else _Pool(rule)
        self._pools = pools

    async def load(self) -> tuple[PoolLoad, ...]:
        """Return how every pool stands."""
        await self._read(self._clock.monotonic_ms())
        return self.snapshot()

    def snapshot(self) -> tuple[PoolLoad, ...]:
        """Return how the pools stand, as last read."""
        return tuple(_load(self._pools[name]) for name in sorted(self._pools))


def _load(pool: _Pool) -> PoolLoad:
    nodes = {node.name: node for node in pool.rule.places.nodes}
    return PoolLoad(
        name=pool.rule.name,
        busy=len(pool.places.busy),
        waiting=len(pool.places.waiting),
        stolen=pool.stolen,
        refused=pool.refused,
        cost=pool.places.cost,
        nodes=tuple(
            PoolNodeLoad(name=name, used=used, has=nodes[name].has)
            for name, used in pool.places.load()
        ),
    )


def level_of(rule: PoolRule, asker: Asker) -> int:
    """Return the level of a step, from 0 to 9; 5 if nothing says otherwise."""
    for one in rule.priorities:
        names = (asker.action, asker.actor, f"workflow:{asker.workflow}")
        if any(fnmatchcase(name, pattern) for pattern in one.match for name in names):
            return one.level
    return LEVELS // 2


def flow_of(rule: PoolRule, asker: Asker) -> str:
    """Return whose share of the pool a step counts on."""
    if rule.by == "actor":
        return asker.actor
    if rule.by == "run":
        return asker.run
    if rule.by == "workflow":
        return asker.workflow
    try:
        return str(get(asker.input, rule.by))
    except MissingError:
        return ""


def worded(need: Need) -> str:
    """Say in words what is needed."""
    parts = [f"{need.slots} places"] if need.slots != 1 else ["1 place"]
    parts += [f"{need.cpu}m processor"] if need.cpu else []
    parts += [f"{need.memory >> 20} MiB"] if need.memory else []
    parts += [f"{need.gpu} gpu"] if need.gpu else []
    return ", ".join(parts)
