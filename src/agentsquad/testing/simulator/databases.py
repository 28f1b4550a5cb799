"""Databases: two that promise before they commit, and die before or after a
promise.

What was promised and what was committed is durable there, nothing else. Each
keeps its own books, so that both can be compared with the log and with each
other in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentsquad.kernel.errors import DeadlineError, UnavailableError
from agentsquad.runtime.transactions.contract import (
    DatabaseDeadlineError,
    DatabaseUnavailableError,
    RefusedError,
    Result,
    Statement,
)
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.loop import SimulatedLoop
from agentsquad.testing.simulator.network import Message, Network
from agentsquad.testing.simulator.trace import Trace

NAMES = ("east", "west")
UNWILLING = {"east": 11, "west": 13}  # what is divisible by it is not promised


class Database:
    """One server; `frail` while it may die."""

    def __init__(self, name: str, loop: SimulatedLoop, chance: Chance, trace: Trace) -> None:
        self.name = name
        self._loop = loop
        self._chance = chance
        self._trace = trace
        self.frail = chance.pick((0.0, 0.1, 0.3))
        self._back = 0.0
        self.promised: dict[str, list[int]] = {}
        self.done: list[tuple[str, int]] = []  # (branch, number), as committed

    async def answer(self, message: Message) -> Any:
        """Answer one message, unless it dies of it."""
        dies = self._chance.happens(self.frail)
        after = dies and self._chance.happens(0.5)
        if self._loop.time() >= self._back and (after or not dies):
            answer = self._do(message)
            if not dies:
                return answer
        if dies:
            self._back = self._loop.time() + self._chance.between(1, 400) / 1000
            how = "after" if after else "before"
            self._trace.fault("database dies", self.name, f"{how} {message['op']}")
        raise UnavailableError("the connection broke", code="simulator.reset")

    def _do(self, message: Message) -> Any:
        gid = message.get("gid", "")
        if message["op"] == "promised":
            return sorted(self.promised)
        if message["op"] == "prepare":
            if any(n % UNWILLING[self.name] == 0 for n in message["numbers"]):
                raise RefusedError(f"{self.name} does not take this number")
            self.promised[gid] = message["numbers"]
        elif gid in self.promised:
            numbers = self.promised.pop(gid)
            if message["op"] == "commit":
                self.done += [(gid, n) for n in numbers]
                self._trace.note(self.name, f"commits {numbers} of {gid[:14]}")
        return None


class Branches:
    """One process's way to a database (`Participant`)."""

    def __init__(self, network: Network, place: str, name: str) -> None:
        self._network = network
        self._place = place
        self._name = name

    async def prepare(
        self, gid: str, statements: Sequence[Statement], *, timeout_ms: int
    ) -> list[Result]:
        """Do the statements and promise to be able to commit them."""
        numbers = [one.params[0] for one in statements]
        try:
            await self._say("prepare", gid=gid, numbers=numbers, timeout_ms=timeout_ms)
        except DeadlineError as error:
            raise DatabaseDeadlineError(f"{self._name} did not promise") from error
        return [Result(rows=1) for _ in statements]

    async def commit(self, gid: str) -> None:
        """Make a promised branch count."""
        await self._tell("commit", gid)

    async def rollback(self, gid: str) -> None:
        """Forget a branch, promised or not."""
        await self._tell("rollback", gid)

    async def promised(self) -> list[str]:
        """Return the branches of ours that wait to be told."""
        found: list[str] = await self._tell("promised")
        return found

    async def close(self) -> None:
        """Nothing stays open."""

    async def _tell(self, op: str, gid: str = "") -> Any:
        try:
            return await self._say(op, gid=gid, timeout_ms=500)
        except DeadlineError as error:
            raise DatabaseUnavailableError(f"{self._name} did not answer") from error

    async def _say(self, op: str, *, timeout_ms: int, **message: Any) -> Any:
        sent = {"op": op, **message}
        try:
            return await self._network.call(
                self._place, self._name, sent, timeout_ms=timeout_ms, once=True
            )
        except UnavailableError as error:
            raise DatabaseUnavailableError(f"{self._name} is away") from error


class Reached:
    """The databases as one process reaches them (`Participants`)."""

    def __init__(self, network: Network, place: str) -> None:
        self._members = {name: Branches(network, place, name) for name in NAMES}

    async def participant(self, name: str) -> Branches:
        """Return one."""
        return self._members[name]

    async def names(self) -> list[str]:
        """Return the names of all."""
        return list(NAMES)
