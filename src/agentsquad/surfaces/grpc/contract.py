"""The names of this surface, and its limits."""

from __future__ import annotations

import msgspec

SURFACE = "grpc"
PACKAGE = "agentsquad.v1"
FILE = "agentsquad/v1/squad.proto"
EVENTS, BLOBS, CALLS = "EventsService", "BlobsService", "CallsService"  # that stream


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may do; times in milliseconds, sizes in bytes."""

    message: int = 4 * 1024 * 1024
    blob: int = 256 * 1024 * 1024
    chunk: int = 64 * 1024
    streams: int = 256  # at once in one connection
    calls: int = 64  # at once in one `Calls.Stream`
    keepalive_ms: int = 30_000
    keepalive_min_ms: int = 10_000  # clients that ping more often are sent away
    idle_ms: int = 15 * 60_000
