"""Bodies of answers read at once, whichever client they come by."""

from __future__ import annotations

from collections.abc import AsyncIterator

BODY_MAX = 64 * 2**20


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    """Return the rest of a body; of one without end, what comes until it is too
    long."""
    parts: list[bytes] = []
    size = 0
    async for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size > BODY_MAX:
            break
    return b"".join(parts)
