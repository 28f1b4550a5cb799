"""Exchange: one request that an agent waits with, between who asks and the step
that answers it.

The answer is held until it is recorded; of a stream, its last event is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from agentsquad.integrations.proxy.api import Request
from agentsquad.integrations.proxy.contract import Answered

PIECES_MAX = 1024  # of a stream that wait for a slow reader


class Whole(NamedTuple):
    """An answer as it is sent, beside what is recorded of it."""

    answered: Answered
    data: bytes = b""


class Exchange:
    """One request and what comes of it."""

    def __init__(self, n: int, request: Request, data: bytes, headers: Mapping[str, str]) -> None:
        self.n = n
        self.request = request
        self.data = data
        self.headers = headers
        self.position = ""
        self.session = ""
        self.whole: Whole | None = None
        self.error: Mapping[str, Any] | None = None
        self.gone = False
        self.held: list[bytes] = []
        self.head: asyncio.Future[tuple[int, Mapping[str, str]]] = _future()
        self.done: asyncio.Future[None] = _future()
        self._pieces: deque[bytes] = deque()
        self._unread = False
        self._stir = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether the agent has been told how the answer begins."""
        return self.head.done()

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Tell how a streamed answer begins."""
        if not self.head.done():
            self.head.set_result((status, headers))

    async def pass_on(self, piece: bytes) -> None:
        """Pass a piece of a stream on; waits for a reader that is slow."""
        if self._unread:
            return
        while len(self._pieces) >= PIECES_MAX and not self.gone:
            self._room.clear()
            await self._room.wait()
        if not self.gone:
            self._pieces.append(piece)
            self._stir.set()

    async def next(self) -> bytes | None:
        """Return all pieces that came since, as one; None when the answer is
        recorded and nothing is left."""
        while not self._pieces:
            if self.done.done():
                return None
            self._stir.clear()
            await self._stir.wait()
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._room.set()
        return piece

    def settle(self, error: Mapping[str, Any] | None = None) -> None:
        """Tell that it is recorded: the answer, or an error."""
        self.error = error
        if not self.done.done():
            self.done.set_result(None)
        self._stir.set()

    def leave_unread(self) -> None:
        """Let a stream come to its end although nobody reads it."""
        self._unread = True

    def leave(self) -> None:
        """Hear that nobody waits any more."""
        self.gone = True
        self._pieces.clear()
        self._room.set()


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()
