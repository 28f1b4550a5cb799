"""What others may know of telling runs: the values that go in and out, the
ports, and the errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from agentsquad.kernel.errors import (
    BugError,
    ConflictError,
    DeniedError,
    InvalidError,
    MissingError,
    UnavailableError,
)


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer, bound to exactly what was asked and shown.

    `binding` is the digest of action, arguments, policy revision, evidence, run
    and position; the effect door computes it again and refuses with `approval-
    stale` when anything changed.
    """

    approved: bool
    approver: str
    reason: str
    position: str
    binding: str
    expires_ms: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands: `status` is running, waiting, completed, failed,
    cancelled or pinned."""

    run: str
    status: str
    output: Any = None
    error: Mapping[str, Any] | None = None


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of a ladder: who is asked too, once a question or a wait is
    `after_ms` old.

    With `keep` those who were asked before may still answer, otherwise only
    `roles` may from here on. `because` tells them why it came to them.
    """

    after_ms: int
    roles: tuple[str, ...]
    because: str = ""
    keep: bool = True


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """An escalation as a command holds it: when it is due, and who may answer
    from then on."""

    due_ms: int
    roles: tuple[str, ...]
    because: str = ""


class UpdateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an update: `accepted` and at work, `completed` with its
    output, or `failed` with its error."""

    run: str
    name: str
    key: str
    status: Literal["accepted", "completed", "failed"]
    output: Any = None
    error: dict[str, Any] | None = None


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a run waits for: a call, a child, a time, a signal, a person or
    somebody to intervene."""

    position: str
    kind: Literal["call", "child", "time", "signal", "person", "incident", "update"]
    name: str
    due_ms: int | None = None
    roles: tuple[str, ...] = ()
    level: int = 0
    error: Any = None


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """The last sign of life of a step under way; `detail` is what it said with
    it."""

    run: str
    position: str
    action: str
    attempt: int
    count: int
    since_ms: int
    at_ms: int
    detail: Any = None


class Pulses(Protocol):
    """Where steps under way show that they live; nothing of it is in the
    log."""

    def put(self, beat: Beat) -> None:
        """Keep the newest beat of its step in the place of the one before."""
        ...

    def last(self, run: str, position: str) -> Beat | None:
        """Return the newest beat of a step, of an earlier process too."""
        ...

    def of(self, run: str) -> list[Beat]:
        """Return the newest beat of each step of a run."""
        ...

    def drop(self, run: str, position: str) -> None:
        """Forget a step that has ended."""
        ...


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said about a question before it was answered.

    Where it was delegated `to` a person, `roles` are what that person may
    answer it with beside their own.
    """

    by: str
    at: str
    text: str
    to: str | None = None
    roles: tuple[str, ...] = ()


class InboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that waits for a person: a question, a signal that does not
    come, or a step that stands still.

    `level` is how far it was escalated, `since` when it came there; `said` what
    was asked and said about it so far, oldest first.
    """

    id: str
    run: str
    position: str
    action: str
    because: str
    roles: tuple[str, ...]
    requester: str
    input: Any
    evidence: Any
    binding: str
    asked: str
    expires_ms: int | None = None
    kind: Literal["approval", "signal", "incident", "intervention"] = "approval"
    level: int = 0
    since: str | None = None
    said: tuple[Said, ...] = ()

    @property
    def delegated(self) -> Said | None:
        """The delegation in force: the last one."""
        return next((one for one in reversed(self.said) if one.to is not None), None)


Means = Literal["retry", "skip", "patch", "fail", "compensate"]


class QueryMissingError(MissingError):
    """The run answers no query of this name."""

    code = "query.missing"


class QueryMutatesError(InvalidError):
    """A query or a validator may only look: it began a step, waited, or changed
    what the run knows."""

    code = "query.mutates"


class QueryFailedError(BugError):
    """The handler of a query failed."""

    code = "query.failed"


class UpdateMissingError(MissingError):
    """The run takes no update of this name."""

    code = "update.missing"


class UpdateRefusedError(InvalidError):
    """The run does not take this update now; nothing was written."""

    code = "update.refused"


class UpdateKeyError(ConflictError):
    """The key was used for another update of this run."""

    code = "update.key"


class RunEndingError(ConflictError):
    """The run is about to end and takes nothing more."""

    code = "run.ending"


class SignalUnknownError(MissingError):
    """The workflow declares its signals, and this is none of them."""

    code = "signal.unknown"


class SignalPayloadError(InvalidError):
    """The payload is not of the type the workflow declares for this signal."""

    code = "signal.payload"


class EscalationError(InvalidError):
    """A ladder must rise in time, name roles, and end before the question
    expires."""

    code = "escalation.ladder"


class SilentError(UnavailableError):
    """The action gave no sign of life for longer than it may."""

    code = "step.heartbeat"


class InterventionError(ConflictError):
    """Nothing can be done by hand about this step as it stands."""

    code = "intervention.standing"


class InterventionDeniedError(DeniedError):
    """Policy does not let this actor intervene in this run."""

    code = "intervention.denied"


class StepGivenUpError(ConflictError):
    """A person made the step fail."""

    code = "step.given_up"


class ChangeUnknownError(InvalidError):
    """The workflow does not declare this change."""

    code = "change.unknown"


class ChangeRetiredError(ConflictError):
    """The run began before a change whose old path is gone."""

    code = "change.retired"
