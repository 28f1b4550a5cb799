"""The namespaces of one process: each opened once, all closed with the first.

What is made here shares clock, chance and compiled policy with the installation
it belongs to, and nothing that holds data.
"""

from __future__ import annotations

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
from agentsquad.runtime.engine.interceptors.confine import Confinement
from agentsquad.trust.access.contract import RESERVED, SYSTEM, NamespaceMissingError, Place
from agentsquad.trust.access.namespace import (
    Namespace,
    check_name,
    missing,
    recorded,
    there,
)

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

    def confine(self) -> None:
        """Open files only where a server's actions may."""
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
        self._gone: set[str] = set()
        self._known: dict[str, Namespace] = {}
        self._as_of = 0
        self._names = _names_of({})
        first_held = self._held[first.settings.namespace] = _Held(first)
        first_held.pinned = True

    @property
    def opened(self) -> tuple[str, ...]:
        """The namespaces that are open now, the one used last at the end."""
        return tuple(self._held)

    async def names(self) -> tuple[str, ...]:
        """Return the namespaces there are, in the order of their names,
        whichever process created or deleted one."""
        system = self._taken(SYSTEM).squad
        if not system.unkept:
            store = system.world.store
            size = await store.size()
            if size != self._as_of:
                self._known = await recorded(store, self._known, after=self._as_of)
                self._as_of = size
                self._names = _names_of(self._known)
        return self._names

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
            if namespace in self._gone:
                await self.retire(namespace)
            elif self._held.get(namespace) is held:
                self._held[namespace] = self._held.pop(namespace)  # used last
                await self._let_go()

    async def _found(self, namespace: str) -> _Held[S]:
        """Return what is open of a namespace; where there is none, say nothing
        of those there are: whoever asks from afar must not learn their
        names."""
        try:
            await self.require(namespace)
        except NamespaceMissingError as error:
            if namespace in self._held:  # another process deleted it
                await self.retire(namespace)
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
        if first.ports.has(Confinement):
            squad.confine()
        squad.world.progress = lambda text, done, total: first.world.progress(text, done, total)
        return squad

    async def _let_go(self) -> None:
        """Close those that nobody used for longest, beyond how many stay."""
        idle = [
            name
            for name, held in self._held.items()
            if not (held.users or held.pinned or held.squad.ports.made(Engine))
        ]
        # All are taken out before the first is closed: nobody finds one that is
        # about to be.
        leaving = [self._held.pop(name) for name in idle[: max(0, len(idle) - self._idle_max)]]
        for held in leaving:
            await held.squad.close()

    async def make(self, namespace: str) -> None:
        """Make what a namespace that was created needs: its log and its key."""
        from agentsquad.trust.attestation.contract import Notary

        squad = self._taken(namespace).squad
        await squad.world.store.size()
        if squad.settings.store != "memory:":
            squad.world.ports.get(Notary).key()

    def confine(self) -> None:
        """Confine those that are open besides the first."""
        for held in self._held.values():
            if held.squad is not self._first:
                held.squad.confine()

    async def retire(self, namespace: str) -> None:
        """Close what was deleted, when the last who uses it has ended."""
        held = self._held.get(namespace)
        if held is None or held.squad is self._first:
            return
        if held.users:
            self._gone.add(namespace)
            return
        self._gone.discard(namespace)
        del self._held[namespace]
        await held.squad.close()

    async def close(self) -> None:
        """Close all but the first."""
        for held in list(self._held.values()):
            if held.squad is not self._first:
                with suppress(Exception):
                    await held.squad.close()
        self._held.clear()


def _names_of(known: dict[str, Namespace]) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in there(known)))
