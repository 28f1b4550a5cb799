"""Work shared among copies of this process.

A copy begins with everything that is loaded and made ready here, so nothing is
opened or read again; it tells each result through a pipe and ends without
touching what it shares with the original.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from agentsquad.kernel.errors import BugError

Work = Callable[[Any], Awaitable[bytes]]
SIZE = 4  # bytes that say how long a result is


class Copies:
    """Copies of this process, as many as it has processors."""

    def count(self) -> int:
        """Return how many processors this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1

    async def each(self, work: Work, items: Sequence[Any], workers: int) -> AsyncIterator[bytes]:
        """Yield results as they come; with one worker nothing is copied."""
        if workers <= 1 or len(items) <= 1:
            for item in items:
                yield await work(item)
            return
        results: asyncio.Queue[bytes | None] = asyncio.Queue()
        shares = [items[index::workers] for index in range(min(workers, len(items)))]
        copies = [_copy(work, share) for share in shares]
        readers = [asyncio.ensure_future(_read(handle, results)) for _, handle in copies]
        open_ = len(copies)
        told = 0
        try:
            while open_:
                result = await results.get()
                if result is None:
                    open_ -= 1
                else:
                    told += 1
                    yield result
        finally:
            for reader in readers:
                reader.cancel()
            for process, _ in copies:
                _end(process)
        if told != len(items):
            raise BugError(f"a worker ended early: {told} of {len(items)} points were played")


def _copy(work: Work, share: Sequence[Any]) -> tuple[int, int]:
    """Start a copy that does a share; return its number and what it tells."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    _live(work, share, writing)


def _end(process: int) -> None:
    """Let go of a copy; one that is still at work has nothing to lose."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(process, 0)


def _live(work: Work, share: Sequence[Any], writing: int) -> NoReturn:
    code = 1
    try:
        loop = asyncio.new_event_loop()
        for item in share:
            result = loop.run_until_complete(work(item))
            os.write(writing, len(result).to_bytes(SIZE, "big") + result)
        code = 0
    finally:
        os._exit(code)


async def _read(handle: int, results: asyncio.Queue[bytes | None]) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(handle, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(SIZE), "big")
            await results.put(await reader.readexactly(size))
    except asyncio.IncompleteReadError:
        await results.put(None)
    finally:
        transport.close()
