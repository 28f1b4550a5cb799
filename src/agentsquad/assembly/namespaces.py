"""The namespaces of one process: each opened once, all closed with the first.

What is made here shares clock, chance and compiled policy with the installation
it belongs to, and nothing that holds data.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Generic, Protocol, TypeVar

from agentsquad.assembly.settings import Settings, within
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.door import Ports
from agentsquad.trust.access.contract import RESERVED, SYSTEM, NamespaceMissingError, Place
from agentsquad.trust.access.namespace import check_name, missing, recorded, there

IDLE_MAX = 16


class Member(Place, Protocol):
    """A namespace as this file opens and closes it: a Squad."""

    settings: Settings
    registry: Registry
    ports: Ports

    @property
    def unkept(self) -> bool:
        """Whether nothing was ever kept here."""
        ...

    async def close(self) -> None:
        """Close every file."""
        ...


S = TypeVar("S", bound=Member)


class _Held(Generic[S]):
    """One namespace that is open: how many use it, and whether it stays."""

    __slots__ = ("pinned", "squad", "users")

    def __init__(self, squad: S) -> None:
        self.squad = squad
        self.users = 0
        self.pinned = False


class OpenNamespaces(Generic[S]):
    """Opens the namespaces of an installation (`Namespaces`).

    `first` is the one the process opened; it is closed by whoever opened it. Of
    those that are only leased, `idle_max` stay open when nobody uses them; one
    whose engine was asked for anything stays, for its runs go on.
    """

    def __init__(self, first: S, make: Callable[..., S], *, idle_max: int = IDLE_MAX) -> None:
        self._first = first
        self._make = make
        self._idle_max = idle_max
        self._held: dict[str, _Held[S]] = {}
        self._lock = asyncio.Lock()
        first_held = self._held[first.settings.namespace] = _Held(first)
        first_held.pinned = True

    @property
    def opened(self) -> tuple[str, ...]:
        """The namespaces that are open now, the one used last at the end."""
        return tuple(self._held)

    async def names(self) -> tuple[str, ...]:
        """Return the namespaces there are, in the order of their names."""
        system = self._taken(SYSTEM).squad
        known = {} if system.unkept else await recorded(system.world.store)
        return tuple(sorted(one.name for one in there(known)))

    async def require(self, namespace: str) -> None:
        """Raise NamespaceMissingError, naming the nearest, unless there is such
        a namespace."""
        if check_name(namespace) in RESERVED:
            return
        names = await self.names()
        if namespace not in names:
            raise missing(namespace, names)

    async def use(self, namespace: str) -> S:
        """Return one, open until the installation is closed."""
        held = await self._found(namespace)
        held.pinned = True
        return held.squad

    @asynccontextmanager
    async def lease(self, namespace: str) -> AsyncIterator[S]:
        """Return one for a while."""
        held = await self._found(namespace)
        held.users += 1
        try:
            yield held.squad
        finally:
            held.users -= 1
            self._held[namespace] = self._held.pop(namespace, held)  # used last
            await self._let_go()

    async def _found(self, namespace: str) -> _Held[S]:
        """Return what is open of a namespace; where there is none, say nothing
        of those there are: whoever asks from afar must not learn their
        names."""
        if namespace not in self._held:
            try:
                await self.require(namespace)
            except NamespaceMissingError as error:
                raise NamespaceMissingError from error
        return self._taken(namespace)

    def _taken(self, namespace: str) -> _Held[S]:
        """Return what is open of a namespace, opened now if it was not."""
        held = self._held.get(namespace)
        if held is None:
            held = self._held[namespace] = _Held(self._made(namespace))
            held.pinned = namespace == SYSTEM
        return held

    def _made(self, namespace: str) -> S:
        first = self._first
        settings = within(first.settings, namespace)
        squad = self._make(settings, first.registry, estate=self)
        for role in (Clock, Entropy):
            squad.ports.provide(role, partial(first.ports.get, role))
        if settings.policy == first.settings.policy:
            squad.ports.provide(PolicyEngine, partial(first.ports.get, PolicyEngine))
        squad.world.progress = lambda text, done, total: first.world.progress(text, done, total)
        return squad

    async def _let_go(self) -> None:
        """Close those that nobody used for longest, beyond how many stay."""
        async with self._lock:
            idle = [
                name
                for name, held in self._held.items()
                if not (held.users or held.pinned or held.squad.ports.made(Engine))
            ]
            for name in idle[: max(0, len(idle) - self._idle_max)]:
                await self._held.pop(name).squad.close()

    async def make(self, namespace: str) -> None:
        """Make what a namespace that was created needs: its log and its key."""
        from agentsquad.trust.attestation.contract import Notary

        squad = self._taken(namespace).squad
        await squad.world.store.size()
        if squad.settings.store != "memory:":
            squad.world.ports.get(Notary).key()

    async def retire(self, namespace: str) -> None:
        """Close what was deleted here."""
        held = self._held.pop(namespace, None)
        if held is not None and held.squad is not self._first:
            await held.squad.close()

    async def close(self) -> None:
        """Close all but the first."""
        for held in list(self._held.values()):
            if held.squad is not self._first:
                with suppress(Exception):
                    await held.squad.close()
        self._held.clear()
