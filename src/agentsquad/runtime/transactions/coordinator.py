"""Coordinator: two-phase commit with the decision in our log.

Begun, then every database promises, then the decision is written, then every
database is told. A crash anywhere leaves either no decision, which means abort,
or one, which is carried out by whoever comes next; `Coordinator.settle` is that
whoever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from agentsquad.kernel.errors import ConflictError, SquadError, UnavailableError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.transactions.contract import (
    BEGUN,
    DECIDED,
    DONE,
    PREFIX,
    STREAM,
    Part,
    Participants,
    RefusedError,
    Result,
)
from agentsquad.runtime.transactions.standing import OPEN, Branch, Standing, fold

TRIES = 6  # times a database is told, before the rest is left to a later recovery
FIRST_MS, FACTOR = 50, 3.0


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery did about one transaction: `left` are the databases that
    could not be told."""

    key: str
    state: str
    left: tuple[str, ...] = ()


class Coordinator:
    """Carries transactions out and to their end."""

    def __init__(
        self,
        store: EventStore,
        participants: Participants,
        clock: Clock,
        begun: Reading | None = None,
    ) -> None:
        """`begun`: the reading `OPEN` of this log, where one is kept."""
        self._store = store
        self._participants = participants
        self._clock = clock
        self._begun = begun or Reading(OPEN, store)

    async def standing(self, key: str) -> Standing | None:
        """Return how one transaction stands, None if it was never begun."""
        return fold(await self._store.read_stream(STREAM + key)).get(key)

    async def each(self, *, ended: bool = False) -> AsyncIterator[Standing]:
        """Yield how every transaction stands that has not ended everywhere, or
        every one, oldest first."""
        only: dict[str, Any] = {} if ended else {"ended": 0}
        async for row in self._begun.each(("seq",), **only):
            standing = await self.standing(row["key"])
            if standing is not None:
                yield standing

    # --- the two phases

    async def carry_out(
        self,
        key: str,
        parts: Sequence[Part],
        *,
        run: str,
        position: str,
        actor: str,
        timeout_ms: int,
    ) -> tuple[Any, tuple[str, ...]]:
        """Commit every part or none; return what the statements did, and the
        databases that could not be told yet."""
        branches = tuple(Branch(p.database, f"{PREFIX}{key}-{n}") for n, p in enumerate(parts))
        members = {one: await self._participants.participant(one.database) for one in branches}
        body = {
            "key": key,
            "run": run,
            "position": position,
            "parts": [msgspec.structs.asdict(one) for one in branches],
            "at_ms": self._clock.now_ms(),
            "timeout_ms": timeout_ms,
        }
        await self._write(key, BEGUN, body, actor, version=0)
        votes = await asyncio.gather(
            *(
                members[branch].prepare(branch.gid, part.statements, timeout_ms=timeout_ms)
                for branch, part in zip(branches, parts, strict=True)
            ),
            return_exceptions=True,
        )
        refused = next((vote for vote in votes if isinstance(vote, BaseException)), None)
        output = None if refused else _output(parts, [v for v in votes if isinstance(v, list)])
        decided: dict[str, Any] = {"commit": refused is None}
        decided |= {"output": output} if refused is None else {"reason": str(refused)}
        try:
            await self._write(key, DECIDED, decided, actor, version=1)
        except ConflictError:
            # While we slept somebody else gave it up.
            decided, refused = (
                {"commit": False},
                refused
                or RefusedError(
                    f"transaction {key} was given up by another process", details={"sent": False}
                ),
            )
        standing = await self.standing(key)
        assert standing is not None
        left = await self._tell(standing, actor)
        if refused is not None:
            if isinstance(refused, SquadError):
                refused.details["sent"] = False  # nothing happened anywhere
            raise refused
        return output, left

    async def _tell(self, standing: Standing, actor: str) -> tuple[str, ...]:
        """Tell every database what was decided; return those that could not be
        reached."""
        told = await asyncio.gather(
            *(self._told(one, commit=bool(standing.commit)) for one in standing.branches)
        )
        left = tuple(
            one.database for one, ok in zip(standing.branches, told, strict=True) if not ok
        )
        if not left and not standing.ended:
            with suppress(ConflictError):  # somebody else has told them as well
                await self._write(standing.key, DONE, {}, actor, version=standing.version)
        return left

    async def _told(self, branch: Branch, *, commit: bool) -> bool:
        wait = FIRST_MS
        # What is given up is not waited for: nobody can take it for done.
        tries = TRIES if commit else 1
        for number in range(tries):
            try:
                member = await self._participants.participant(branch.database)
                tell: Callable[[str], Awaitable[None]] = (
                    member.commit if commit else member.rollback
                )
                await tell(branch.gid)
            except UnavailableError:
                if number + 1 < tries:
                    await self._clock.sleep_ms(wait)
                    wait = int(wait * FACTOR)
                continue
            return True
        return False

    # --- coming back

    async def settle(self, key: str, actor: str) -> Standing | None:
        """Bring a transaction that was interrupted to its end: what nobody
        decided is given up. None if it was never begun."""
        standing = await self.standing(key)
        if standing is None:
            return None
        if standing.commit is None:
            body = {"commit": False, "reason": "whoever began it did not decide"}
            with suppress(ConflictError):  # it was decided this very moment
                await self._write(key, DECIDED, body, actor, version=1)
            standing = await self.standing(key)
            assert standing is not None
        await self._tell(standing, actor)
        return await self.standing(key)

    async def recover(self, actor: str) -> tuple[list[Settled], list[str]]:
        """Settle what was left behind; return what was done, and branches with
        our name that no transaction of this log knows: those are not touched.

        A branch may also appear after its transaction ended: a promise that was
        on its way when the connection broke.
        """
        now = self._clock.now_ms()
        open_ = [
            one.key
            async for one in self.each()
            if not one.ended and (one.commit is not None or one.overdue(now))
        ]
        strangers: list[str] = []
        for name in await self._participants.names():
            try:
                member = await self._participants.participant(name)
                promised = await member.promised()
            except SquadError:
                continue  # it cannot be asked now; what is decided stays decided
            for gid in promised:
                key = gid.removeprefix(PREFIX).rpartition("-")[0]
                standing = await self.standing(key)
                if standing is None:
                    strangers.append(f"{name}: {gid}")
                elif standing.commit is not None or standing.overdue(now):
                    open_.append(key)
        done = []
        for key in dict.fromkeys(open_):
            settled = await self.settle(key, actor)
            assert settled is not None
            left = () if settled.ended else tuple(b.database for b in settled.branches)
            done.append(Settled(key=key, state=settled.state, left=left))
        return done, strangers

    async def _write(
        self, key: str, kind: str, body: dict[str, Any], actor: str, *, version: int
    ) -> None:
        stream = STREAM + key
        event = NewEvent(stream=stream, type=kind, payload=body, actor=actor)
        await self._store.append([event], expect={stream: version})


def _output(parts: Sequence[Part], results: Sequence[list[Result]]) -> list[dict[str, Any]]:
    """Return, by part, what its statements did."""
    return [
        {"database": part.database, "results": msgspec.to_builtins(found)}
        for part, found in zip(parts, results, strict=True)
    ]
