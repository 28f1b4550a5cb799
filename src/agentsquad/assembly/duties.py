"""What a server does besides answering: it drives the runs, schedules and
messages of every namespace, as long as it has the right to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agentsquad.assembly.namespaces import OpenNamespaces
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.kernel.ports import Clock
from agentsquad.runtime.engine.contract import Engine, EngineBusyError
from agentsquad.trust.access.contract import SYSTEM

AGAIN_MS = 2_000  # how often what another process drives, or what failed, is tried again
LOOK_MS = 1_000  # how soon a namespace that was made elsewhere is seen
STARTING, DRIVING, STANDING_BY = "starting", "driving", "standing by"


class Duties:
    """One task a namespace; a failure of one is tried again and never ends the
    others."""

    def __init__(self, namespaces: OpenNamespaces[Squad], clock: Clock, owner: Actor) -> None:
        self._namespaces = namespaces
        self._clock = clock
        self._owner = owner
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._standing: dict[str, str] = {}
        self._looking: asyncio.Task[None] | None = None
        self.heard: Callable[..., None] = lambda event, **fields: None
        self.beside: Callable[[Squad], Awaitable[None]] | None = None  # done while driving

    def begin(self) -> None:
        """Take up the namespaces there are, and those to come."""
        self._looking = asyncio.ensure_future(self._look())

    def check(self, namespace: str) -> None:
        """Raise UnavailableError unless its runs are driven, here or by another
        process that this one stands by for."""
        said = self._standing.get(namespace, STARTING)
        if said not in (DRIVING, STANDING_BY):
            raise UnavailableError(f"the engine is not driving: {said}", code=f"engine.{said}")

    async def end(self) -> None:
        """Stop driving; open runs go on at the next start."""
        tasks = [*self._tasks.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            for namespace in await self._namespaces.names():
                if namespace != SYSTEM and namespace not in self._tasks:
                    self._tasks[namespace] = asyncio.ensure_future(self._drive(namespace))
            await self._clock.sleep_ms(LOOK_MS)

    async def _drive(self, namespace: str) -> None:
        while True:
            try:
                place = await self._namespaces.use(namespace)
                await place.world.ports.get(Engine).recover(wait=False)
                self._say(namespace, DRIVING)
                await self._watch(namespace, place)
            except EngineBusyError:
                self._say(namespace, STANDING_BY)
            except SquadError as error:
                self._say(namespace, error.code)
            except Exception as error:  # noqa: BLE001 - one namespace must not end the server
                self._say(namespace, type(error).__name__)
            await self._clock.sleep_ms(AGAIN_MS)

    async def _watch(self, namespace: str, place: Squad) -> None:
        """Start what is due, and deliver beside it, as long as this process
        drives."""
        beside = asyncio.ensure_future(self._deliver(namespace, place))
        try:
            await place.invoke("schedules.run", {}, actor=self._owner)
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)

    async def _deliver(self, namespace: str, place: Squad) -> None:
        while self.beside is not None:
            try:
                return await self.beside(place)
            except SquadError as error:
                self.heard("notifications", namespace=namespace, error=error.code)
            except Exception as error:  # noqa: BLE001 - nor this one its namespace
                self.heard("notifications", namespace=namespace, error=type(error).__name__)
            await self._clock.sleep_ms(AGAIN_MS)

    def _say(self, namespace: str, standing: str) -> None:
        if self._standing.get(namespace) != standing:
            self._standing[namespace] = standing
            self.heard("engine", namespace=namespace, standing=standing)
