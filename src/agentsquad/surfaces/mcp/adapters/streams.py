"""The standard streams: lines in, lines out.

While they belong to the protocol nothing else may write there: what prints to
standard output, also from a library, goes to standard error instead.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from agentsquad.kernel.jsonrpc import encode

LINE_MAX = 4 * 2**20


class StandardStreams:
    """This process's standard input and output."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = os.dup(1)
        os.dup2(2, 1)  # from here on stdout is stderr for everybody else
        self._turn = asyncio.Lock()

    async def lines(self) -> AsyncIterator[bytes]:
        """Return the lines that come until the other side ends."""
        if stat.S_ISREG(os.fstat(0).st_mode):
            while line := await asyncio.to_thread(sys.stdin.buffer.readline, LINE_MAX):
                yield line
            return
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LINE_MAX)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", closefd=False)
        )
        try:
            while True:
                try:
                    line = await reader.readuntil(b"\n")
                except asyncio.IncompleteReadError as ended:
                    if ended.partial.strip():
                        yield ended.partial
                    return
                except asyncio.LimitOverrunError as error:
                    await _skip(reader, error.consumed)
                    yield b"[]"  # answered as what cannot be taken
                    continue
                yield line
        finally:
            transport.close()

    async def write(self, message: Mapping[str, Any]) -> None:
        """Write one message as one line."""
        data = encode(message) + b"\n"
        async with self._turn:
            await asyncio.to_thread(_write_all, self._out, data)


async def _skip(reader: asyncio.StreamReader, consumed: int) -> None:
    """Read past a line that is too long."""
    while True:
        await reader.readexactly(consumed)
        try:
            await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            consumed = error.consumed
        except asyncio.IncompleteReadError:
            return
        else:
            return


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
