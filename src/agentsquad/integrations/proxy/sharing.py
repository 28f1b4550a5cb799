"""Sharing: requests that are answered together: equal ones by one answer,
embeddings in one batch.

Both only of what is under way at the same moment; nothing is kept for later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from agentsquad.integrations.proxy.api import EMBEDDINGS, Request
from agentsquad.kernel.ports import Clock

T = TypeVar("T")
R = TypeVar("R")


def deterministic(request: Request) -> bool:
    """Whether asking the same again would be answered the same."""
    if request.api is EMBEDDINGS:
        return True
    body = request.body
    if request.stream or not isinstance(body, Mapping):
        return False
    cold = body.get("temperature") == 0 and not isinstance(body.get("temperature"), bool)
    return (cold or type(body.get("seed")) is int) and body.get("n") in (None, 1)


class Coalescing(Generic[R]):
    """Calls by key: while one is under way, its equals wait for its answer."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[R]] = {}

    async def one(self, key: str, call: Callable[[], Awaitable[R]]) -> tuple[R, bool]:
        """Return the answer, and whether it was another's.

        A caller that is cancelled leaves the call to those who wait with it.
        """
        task = self._under_way.get(key)
        shared = task is not None
        if task is None:
            task = asyncio.ensure_future(call())
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._over(key, done))
        return await asyncio.shield(task), shared

    def _over(self, key: str, task: asyncio.Task[R]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waits for it hears of it


class Batching(Generic[T, R]):
    """Gathers items by key for a moment, or until there are enough, and has
    them answered at once."""

    def __init__(
        self,
        clock: Clock,
        wait_ms: int,
        size: int,
        answer: Callable[[list[T]], Awaitable[list[R]]],
    ) -> None:
        self._clock = clock
        self._wait_ms = wait_ms
        self._size = size
        self._answer = answer
        self._open: dict[str, list[tuple[T, int, asyncio.Future[R]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def one(self, key: str, item: T, weight: int) -> R:
        """Return what an item was answered; it counts `weight` in the size."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        open_ = self._open.get(key)
        if open_ is not None and sum(one[1] for one in open_) + weight > self._size:
            self._send(key)
            open_ = None
        if open_ is None:
            self._open[key] = open_ = []
            self._later(self._ripen(key, open_))
        open_.append((item, weight, future))
        if sum(one[1] for one in open_) >= self._size:
            self._send(key)
        return await future

    async def _ripen(self, key: str, batch: list[Any]) -> None:
        await self._clock.sleep_ms(self._wait_ms)
        if self._open.get(key) is batch:
            self._send(key)

    def _send(self, key: str) -> None:
        self._later(self._carry(self._open.pop(key)))

    async def _carry(self, batch: list[tuple[T, int, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._answer([item for item, _, _ in batch])
        except BaseException as error:
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, _, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _later(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
