"""Blobs: large values in a table, named by their digest and checked whenever
they are read.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from agentsquad.kernel.hashing import digest_bytes
from agentsquad.runtime.ledger.adapters.postgres import schema
from agentsquad.runtime.ledger.adapters.postgres.codec import BYTEA, TEXT, columns
from agentsquad.runtime.ledger.adapters.postgres.wire import Command, Statement, Wire
from agentsquad.runtime.ledger.contract import BlobMissingError, DamagedError

_PUT = Statement("INSERT INTO blob VALUES ($1, $2) ON CONFLICT DO NOTHING", TEXT, BYTEA)
_THERE = Statement("SELECT length(data) FROM blob WHERE digest = $1", TEXT)
_GET = Statement("SELECT data FROM blob WHERE digest = $1", TEXT)
_ALL = Statement("SELECT digest FROM blob ORDER BY 1")
_DELETE = Statement("DELETE FROM blob WHERE digest = $1", TEXT)


class PostgresBlobStore:
    """Blobs on a connection of their own, used by one thread at a time."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._ready = False

    async def put(
        self, data: bytes, media_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Store bytes and return their reference; storing them again costs a
        look.
        """
        digest = digest_bytes(data)
        there = await self._ask((_THERE, [digest.encode()]))
        if not there:
            await self._ask((_PUT, [digest.encode(), bytes(data)]))
        return {"$blob": digest, "size": len(data), "media_type": media_type}

    async def get(self, digest: str) -> bytes:
        """Return the bytes; DamagedError when they are not those that were
        stored.
        """
        found = await self._ask((_GET, [digest.encode()]))
        if not found:
            raise BlobMissingError(f"there is no blob {digest!r}")
        data = bytes(found[0][0])
        if digest_bytes(data) != digest:
            raise DamagedError(
                f"blob {digest} is not what was stored", hint="restore it from a backup"
            )
        return data

    async def digests(self) -> list[str]:
        """Return the digests of all blobs."""
        return [digest.decode() for (digest,) in await self._ask((_ALL, ()))]

    async def delete(self, digest: str) -> None:
        """Remove the bytes, if they are there."""
        await self._ask((_DELETE, [digest.encode()]))

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.close()

    async def _ask(self, command: Command) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._asked, command)

    def _asked(self, command: Command) -> list[tuple[Any, ...]]:
        with self._lock:
            if not self._ready:
                schema.ensure(self._wire)
                self._ready = True
            [found] = self._wire.ask(command)
            return list(columns(found))
