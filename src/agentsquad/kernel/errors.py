"""The one family of errors: classes by what the caller should do next.

`TABLE` maps each class once to HTTP, gRPC and process exit codes; every surface
reads it. A subsystem names its own failures by subclassing one of these in its
`contract.py`; vendor exceptions stop at the adapter that met them. Suspend and
cancel are signals, not errors, and live with the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class SquadError(Exception):
    """The root; never raised itself.

    `code` is stable and dotted, `message` is for people, `hint` says how to fix
    it, `details` is for programs. `private` is for logs only and never leaves
    the process.
    """

    code: str = "error"

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        hint: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after_ms: int | None = None,
        private: str | None = None,
    ) -> None:
        if type(self) is SquadError:
            raise TypeError("SquadError is abstract: raise the class that says what to do next")
        self.message = message or " ".join((type(self).__doc__ or "").split("\n\n")[0].split())
        if code is not None:
            self.code = code
        self.hint = hint
        self.details = details or {}
        self.retry_after_ms = retry_after_ms
        self.private = private
        super().__init__(self.message)

    def to_dict(self) -> dict[str, Any]:
        """Return the object every surface prints: code, message, and what is
        known beyond."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            body["hint"] = self.hint
        if self.details:
            body["details"] = self.details
        if self.retry_after_ms is not None:
            body["retry_after_ms"] = self.retry_after_ms
        return body


class InvalidError(SquadError):
    """The input is not valid: fix it and try again."""

    code = "invalid"


class UnauthenticatedError(SquadError):
    """Nobody is signed in."""

    code = "unauthenticated"


class DeniedError(SquadError):
    """Policy said no."""

    code = "denied"


class MissingError(SquadError):
    """There is no such thing."""

    code = "missing"


class ConflictError(SquadError):
    """Somebody else changed it first: read again, then retry."""

    code = "conflict"


class LimitError(SquadError):
    """A limit was reached: wait `retry_after_ms`."""

    code = "limit"


class UnsupportedError(SquadError):
    """Not available in this installation."""

    code = "unsupported"


class UnavailableError(SquadError):
    """The other side is not available: retry with back-off."""

    code = "unavailable"


class DeadlineError(SquadError):
    """Time ran out; whether it happened is unknown."""

    code = "deadline"


class IntegrityError(SquadError):
    """Stored data does not match its proof: stop, never retry."""

    code = "integrity"


class BugError(SquadError):
    """One of our own invariants broke: please report it."""

    code = "bug"


class Surface(NamedTuple):
    """How one error class looks on each surface."""

    http: int
    grpc: str
    exit: int
    retryable: bool


TABLE: dict[type[SquadError], Surface] = {
    InvalidError: Surface(400, "INVALID_ARGUMENT", 2, False),
    UnauthenticatedError: Surface(401, "UNAUTHENTICATED", 3, False),
    DeniedError: Surface(403, "PERMISSION_DENIED", 4, False),
    MissingError: Surface(404, "NOT_FOUND", 5, False),
    ConflictError: Surface(409, "ABORTED", 6, False),
    LimitError: Surface(429, "RESOURCE_EXHAUSTED", 7, True),
    UnsupportedError: Surface(501, "UNIMPLEMENTED", 8, False),
    UnavailableError: Surface(503, "UNAVAILABLE", 9, True),
    DeadlineError: Surface(504, "DEADLINE_EXCEEDED", 10, False),
    IntegrityError: Surface(500, "DATA_LOSS", 11, False),
    BugError: Surface(500, "INTERNAL", 12, False),
}


def surface_of(error: BaseException) -> Surface:
    """Return the row of `TABLE` for an error; anything foreign counts as our
    bug."""
    for cls in type(error).__mro__:
        if cls in TABLE:
            return TABLE[cls]
    return TABLE[BugError]


def record(error: BaseException) -> dict[str, Any]:
    """Return what an event keeps of an error: `to_dict` and the name of its
    table class."""
    if isinstance(error, SquadError):
        row = next(cls for cls in type(error).__mro__ if cls in TABLE)
        return {"class": row.__name__, **error.to_dict()}
    return {"class": "BugError", "code": "bug", "message": f"{type(error).__name__}: {error}"}


def restore(recorded: Mapping[str, Any]) -> SquadError:
    """Return an error like the one that was recorded, of the same table class
    and code."""
    cls = next((c for c in TABLE if c.__name__ == recorded.get("class")), BugError)
    return cls(
        recorded.get("message"),
        code=recorded.get("code"),
        hint=recorded.get("hint"),
        details=dict(recorded.get("details") or {}),
        retry_after_ms=recorded.get("retry_after_ms"),
    )
