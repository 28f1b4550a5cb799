"""Cache: readings answered again from memory, until something happens in their
namespace.

An entry belongs to one actor with one set of roles and scopes in one namespace,
and lives no longer than its time; every event of the namespace ends all its
entries. Nobody is recognised from here: who asks is entered before it is looked
at, so what was revoked is refused on the next request. What another surface
changes may be seen late by the time an event takes to be handed out; what this
one changes, never.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.surfaces.gateway.contract import Caller, Following, Gateway
from agentsquad.surfaces.rest.contract import Options

Key = tuple[Any, ...]
_encode = msgspec.json.Encoder(order="deterministic").encode


class Kept:
    """One answer: the value, its bytes in the forms it was given in, and what
    names its state."""

    __slots__ = ("forms", "revision", "until", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.forms: dict[str, bytes] = {}
        self.revision: str | None = None
        self.until = 0.0


class _Space:
    """The entries of one namespace; `state` counts what happened there."""

    def __init__(self) -> None:
        self.state = 0
        self.entries: OrderedDict[Key, Kept] = OrderedDict()
        self.listener: asyncio.Task[None] | None = None

    def changed(self) -> None:
        self.state += 1
        self.entries.clear()


def key_of(caller: Caller, action: str, value: Mapping[str, Any]) -> Key:
    """Return what two readings must share to have one answer."""
    principal = caller.principal
    roles = principal.roles(caller.namespace)
    return (str(principal.actor), roles, principal.scopes, action, _encode(value))


class Cache:
    """The answers of all namespaces. Belongs to one event loop."""

    def __init__(self, gateway: Gateway, options: Options) -> None:
        self._gateway = gateway
        self._ttl_s = options.cache_ttl_ms / 1000
        self._entries_max = options.cache_entries
        self._spaces: dict[str, _Space] = {}

    @property
    def on(self) -> bool:
        """Whether anything is kept at all."""
        return self._ttl_s > 0 and self._entries_max > 0

    def find(self, namespace: str, key: Key) -> Kept | None:
        """Return an answer that still holds."""
        space = self._spaces.get(namespace)
        kept = space.entries.get(key) if space is not None else None
        if kept is None or kept.until < asyncio.get_running_loop().time():
            return None
        return kept

    async def mark(self, caller: Caller) -> int | None:
        """Return where a namespace stands, before it is read; None where what
        happens there cannot be heard, so that nothing is kept."""
        space = self._spaces.setdefault(caller.namespace, _Space())
        if space.listener is None or space.listener.done():
            try:
                place = await self._gateway.place(caller)
            except SquadError:  # may not see events: their readings are not kept
                return None
            if space.listener is None or space.listener.done():
                space.changed()
                listening = self._listen(space, caller, place)
                space.listener = asyncio.get_running_loop().create_task(listening)
        return space.state

    def keep(self, namespace: str, key: Key, kept: Kept, mark: int | None) -> None:
        """Keep an answer, unless something happened while it was made."""
        space = self._spaces.get(namespace)
        if mark is None or space is None or space.state != mark:
            return
        kept.until = asyncio.get_running_loop().time() + self._ttl_s
        space.entries[key] = kept
        while len(space.entries) > self._entries_max:
            space.entries.popitem(last=False)

    def changed(self, namespace: str) -> None:
        """Forget a namespace's answers: something is done there."""
        space = self._spaces.get(namespace)
        if space is not None:
            space.changed()

    async def _listen(self, space: _Space, caller: Caller, place: int) -> None:
        """Forget with every event; when no more can be heard, forget and
        stop."""
        try:
            async for _ in self._gateway.follow(caller, Following(after=place)):
                space.changed()
        except SquadError:
            return
        finally:
            space.changed()

    async def close(self) -> None:
        """Stop listening."""
        tasks = [one.listener for one in self._spaces.values() if one.listener is not None]
        self._spaces.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
