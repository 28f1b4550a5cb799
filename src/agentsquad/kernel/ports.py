"""Ports: what the pure core needs from outside, by role.

Adapters are named for their technology.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from agentsquad.kernel.event import Event, NewEvent


@runtime_checkable
class Clock(Protocol):
    """The only source of time."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01T00:00Z; may jump."""
        ...

    def monotonic_ms(self) -> float:
        """Return a reading that never goes back, for measuring how long
        something took."""
        ...

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait."""
        ...


@runtime_checkable
class Entropy(Protocol):
    """The only source of chance; cryptographically secure in production."""

    def token(self, size: int) -> bytes:
        """Return `size` random bytes."""
        ...


class EventStore(Protocol):
    """The one append-only log (ARCHITECTURE section 3)."""

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Append all or none, durably, and return them as stored.

        `expect` maps a stream to the `stream_seq` its last event must have (0:
        no such stream yet); otherwise ConflictError `ledger.expect`. Returning
        means fsync succeeded.
        """
        ...

    async def read_stream(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Return events of one stream with `stream_seq` > `after`, in order."""
        ...

    async def read(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] | None = None
    ) -> list[Event]:
        """Return events with `seq` > `after` in order, at most `limit`, of the
        given types."""
        ...

    async def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        """Return (name, version) of every stream whose name starts with
        `prefix`, oldest first."""
        ...

    async def size(self) -> int:
        """Return the `seq` of the last event, 0 for an empty log."""
        ...


class BlobStore(Protocol):
    """Content-addressed bytes, stored once: `sha256:<hex>`."""

    async def put(
        self, data: bytes, media_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Store and return {"$blob": "sha256:…", "size": n, "media_type":
        …}."""
        ...

    async def get(self, digest: str) -> bytes:
        """Return the bytes; MissingError if unknown, IntegrityError if they do
        not match."""
        ...

    async def digests(self) -> list[str]:
        """Return the digests of all blobs, in order."""
        ...

    async def delete(self, digest: str) -> None:
        """Forget the bytes (erasure, retention); unknown digests are
        ignored."""
        ...
