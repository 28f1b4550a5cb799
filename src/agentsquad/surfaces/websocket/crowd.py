"""Crowd: all connections of a server, and the one task that looks after them.

It closes who is too slow or no longer welcome, and lets the quiet ones know
that the server lives: one task for thousands of connections, in place of three
timers for each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol

import msgspec

from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.kernel.ports import Clock
from agentsquad.runtime.ledger.contract import ClosedError
from agentsquad.surfaces.gateway.contract import Caller, Gateway
from agentsquad.surfaces.websocket.contract import (
    ENDS,
    RESTART,
    SLOW,
    CrowdedError,
    Limits,
    close_code,
)

AT_ONCE = 200  # connections looked after before others have their turn


class Member(Protocol):
    """A connection, as the crowd sees it."""

    caller: Caller | None
    since_ms: float  # when it connected
    sending_ms: float | None  # since when a message is on its way
    sent_ms: float  # when something was sent last

    def end(self, code: int, reason: str) -> None:
        """Close it soon."""
        ...

    def beat(self) -> None:
        """Send a sign of life."""
        ...

    def changed(self, caller: Caller) -> None:
        """Hear that the caller may now do something else than before."""
        ...


class Crowd:
    """The connections of one server."""

    def __init__(self, gateway: Gateway, clock: Clock, limits: Limits) -> None:
        self.gateway = gateway
        self.clock = clock
        self.limits = limits
        self._members: dict[Member, None] = {}
        self._actors: Counter[str] = Counter()
        self._strangers = 0
        self._keeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._members)

    def join(self, member: Member) -> None:
        """Take a connection in whose caller is not known yet; CrowdedError."""
        if self._strangers >= self.limits.strangers:
            raise CrowdedError(retry_after_ms=self.limits.hello_ms)
        self._strangers += 1
        self._members[member] = None
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def know(self, member: Member, caller: Caller) -> None:
        """Hear who is at the other end; CrowdedError where they are there too
        often."""
        actor = str(caller.principal.actor)
        if self._actors[actor] >= self.limits.connections_per_actor:
            raise CrowdedError(
                f"{actor} has {self._actors[actor]} connections already",
                hint="one connection carries many subscriptions",
            )
        self._strangers -= 1
        self._actors[actor] += 1
        member.caller = caller

    def part(self, member: Member) -> None:
        """Let a connection go."""
        if member not in self._members:
            return
        del self._members[member]
        if member.caller is None:
            self._strangers -= 1
        else:
            actor = str(member.caller.principal.actor)
            self._actors[actor] -= 1
            if not self._actors[actor]:
                del self._actors[actor]
        if not self._members and self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    async def _keep(self) -> None:
        while True:
            await self.clock.sleep_ms(self.limits.sweep_ms)
            seen: dict[tuple[str, str], Caller | SquadError] = {}
            for number, member in enumerate(list(self._members)):
                if number % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(0)
                if member in self._members:
                    await self._look_after(member, seen)

    async def _look_after(
        self, member: Member, seen: dict[tuple[str, str], Caller | SquadError]
    ) -> None:
        now, limits = self.clock.monotonic_ms(), self.limits
        if member.sending_ms is not None and now - member.sending_ms > limits.slow_ms:
            member.end(SLOW, "too slow: what was sent is not read")
            return
        if member.caller is None:
            if now - member.since_ms > limits.hello_ms:
                member.end(4401, "say who you are first")
            return
        caller = member.caller
        mark = (str(caller.principal.actor), caller.principal.credential)
        if mark not in seen:
            seen[mark] = await self._confirmed(caller)
        stands = seen[mark]
        if isinstance(stands, ClosedError):
            member.end(RESTART, ENDS)
            return
        if isinstance(stands, SquadError):
            member.end(close_code(stands), stands.message)
            return
        if stands.principal != caller.principal:
            member.changed(msgspec.structs.replace(caller, principal=stands.principal))
        if now - member.sent_ms > limits.heartbeat_ms and member.sending_ms is None:
            member.beat()

    async def _confirmed(self, caller: Caller) -> Caller | SquadError:
        try:
            return await self.gateway.confirm(caller)
        except ClosedError as error:
            return error
        except UnavailableError:
            return caller  # who cannot be asked about is asked about again
        except SquadError as error:
            return error
