"""Network: what carries messages between the parts of a simulated world.

A call is a request and a reply, two messages on a link that may delay, drop,
double, reorder and be cut. The caller knows only that no reply came in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

from agentsquad.kernel import errors
from agentsquad.kernel.errors import DeadlineError, SquadError
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.loop import Life, SimulatedLoop
from agentsquad.testing.simulator.trace import Trace

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Any]]


class SilenceError(DeadlineError):
    """No reply came in time: whether the message arrived is unknown."""

    code = "simulator.silence"


class Network:
    """Links between named places."""

    def __init__(self, loop: SimulatedLoop, chance: Chance, trace: Trace) -> None:
        self._loop = loop
        self._chance = chance
        self._trace = trace
        self._handlers: dict[str, tuple[Life | None, Handler]] = {}
        self.slowest_ms = chance.pick((5, 30, 200))
        self.loss = 0.0
        self.doubling = 0.0
        self.cut: set[str] = set()  # places that nobody reaches and that reach nobody
        self._connections = 0
        self.under_way: dict[str, int] = {}  # messages by where they go

    def connect(self) -> int:
        """Return the number of a new connection, greater than all before."""
        self._connections += 1
        return self._connections

    def listen(self, place: str, handler: Handler, life: Life | None = None) -> None:
        """Let a process answer what is sent to a place, until another does."""
        self._handlers[place] = (life, handler)

    async def call(
        self,
        source: str,
        target: str,
        message: Message,
        *,
        timeout_ms: int = 500,
        once: bool = False,
    ) -> Any:
        """Send and wait for the reply; its error is raised here. `once` is a
        link that never doubles a message, as a connection does."""
        reply: asyncio.Future[Any] = self._loop.create_future()

        def answered(answer: Message) -> None:
            if not reply.done():
                reply.set_result(answer)

        self._send(
            source,
            target,
            lambda: self._deliver(source, target, message, answered, once),
            once,
        )
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                answer = await reply
        except TimeoutError as error:
            raise SilenceError(f"{target} did not answer {message.get('op')}") from error
        if "error" in answer:
            raise errors.restore(answer["error"])
        return answer["value"]

    def _send(self, source: str, target: str, arrive: Callable[[], None], once: bool) -> None:
        copies = 1
        if self._chance.happens(self.loss) or source in self.cut or target in self.cut:
            self._trace.fault("message lost", source, f"to {target}")
            copies = 0
        elif not once and self._chance.happens(self.doubling):
            self._trace.fault("message doubled", source, f"to {target}")
            copies = 2
        for _ in range(copies):
            self.under_way[target] = self.under_way.get(target, 0) + 1
            delay = self._chance.between(1, 1 + self.slowest_ms) / 1000
            # By nobody: a message goes on when its sender is killed.
            self._loop.call_later(delay, self._arrive, target, arrive, context=Context())

    def _arrive(self, target: str, arrive: Callable[[], None]) -> None:
        self.under_way[target] -= 1
        if target in self.cut:
            self._trace.fault("message lost", target, "behind a cut")
            return
        arrive()

    def _deliver(
        self,
        source: str,
        target: str,
        message: Message,
        answered: Callable[[Message], None],
        once: bool,
    ) -> None:
        life, handler = self._handlers.get(target, (None, None))
        if handler is None or (life is not None and not life.alive):
            return

        async def work() -> None:
            try:
                answer: Message = {"value": await handler(message)}
            except SquadError as error:
                answer = {"error": errors.record(error)}
            except Exception as error:  # noqa: BLE001 - nothing untyped may leave
                if life is not None and not life.alive:
                    return  # what a process meets in its death nobody hears
                self._loop.errors.append(f"{target} answers {message.get('op')} with {error!r}")
                return
            if life is not None and not life.alive:
                return  # it died of what it did, and says nothing any more
            self._send(target, source, lambda: answered(answer), once)

        if life is None:
            self._loop.create_task(work())
        else:
            life.run(self._loop.create_task, work())

    def heal(self) -> None:
        """Lose nothing any more."""
        self.loss = self.doubling = 0.0
        self.slowest_ms = 5
        self.cut.clear()
