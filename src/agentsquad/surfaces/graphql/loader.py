"""Loading of many things at once: those asked for in the same turn of the event
loop are loaded together, each once for an operation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Loader(Generic[K]):
    """Loads by keys; belongs to one operation."""

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Sequence[Any]]]) -> None:
        """`load` returns a value or an exception for each key, in order."""
        self._load = load
        self._found: dict[K, asyncio.Future[Any]] = {}
        self._waiting: list[K] = []

    async def get(self, key: K) -> Any:
        """Return what belongs to a key; raises what its loading met."""
        future = self._found.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._found[key] = loop.create_future()
            if not self._waiting:
                loop.call_soon(lambda: loop.create_task(self._together()))
            self._waiting.append(key)
        return await asyncio.shield(future)

    async def _together(self) -> None:
        keys, self._waiting = self._waiting, []
        try:
            values = await self._load(keys)
        except Exception as error:  # noqa: BLE001 - given to all who wait for it
            values = [error] * len(keys)
        for key, value in zip(keys, values, strict=True):
            future = self._found[key]
            if isinstance(value, BaseException):
                future.set_exception(value)
                future.exception()  # seen, though nobody may wait any more
            else:
                future.set_result(value)
