"""What others may know of running on Temporal: the worker port and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from agentsquad.kernel.errors import (
    ConflictError,
    InvalidError,
    MissingError,
    UnavailableError,
    UnsupportedError,
)


class Served(msgspec.Struct, kw_only=True):
    """What a worker did while it served: `steps` were carried out, `runs` ended
    here."""

    namespace: str
    queue: str
    steps: int = 0
    runs: int = 0


class RunWorker(Protocol):
    """Serves the runs of this installation."""

    async def serve(self, *, seconds: float | None, tell: Callable[[str], None]) -> Served:
        """Serve until interrupted, or for a time; `tell` hears when it is
        ready."""
        ...


class AddressError(InvalidError):
    """SQUAD_ENGINE names no engine."""

    code = "engine.address"


class TemporalExtraError(UnsupportedError):
    """The library that speaks to Temporal is not installed."""

    code = "temporal.extra"


class NoTemporalError(UnsupportedError):
    """Runs are driven in this process; a worker has nothing to serve."""

    code = "temporal.not_configured"


class UnreachableError(UnavailableError):
    """The Temporal server does not answer."""

    code = "temporal.unreachable"


class NamespaceMissingError(MissingError):
    """The Temporal server has no such namespace."""

    code = "temporal.namespace"


class NoWorkerError(UnavailableError):
    """No worker serves the queue: runs would wait for ever."""

    code = "temporal.no_worker"


class SkewError(ConflictError):
    """The workers of the queue serve another version of this installation."""

    code = "temporal.skew"


class OtherLogError(ConflictError):
    """The namespace or queue is used by an installation with another log."""

    code = "temporal.other_log"


class StoppedError(ConflictError):
    """Temporal drives the run no longer, and its log has not ended."""

    code = "temporal.stopped"
