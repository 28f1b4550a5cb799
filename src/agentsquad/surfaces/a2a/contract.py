"""What others may know of the A2A surface: its generations, what a task is made
of, how notifications leave, and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    MissingError,
    SquadError,
    UnsupportedError,
)

CURRENT = "1.0"
BEFORE = "0.3"
VERSIONS = (CURRENT, BEFORE)
SURFACE = "a2a"
WORKFLOW = "a2a-task"
MESSAGE = "message"  # the signal by which a further message reaches a task
DOMAIN = "a2a-protocol.org"

SUBMITTED = "TASK_STATE_SUBMITTED"
WORKING = "TASK_STATE_WORKING"
COMPLETED = "TASK_STATE_COMPLETED"
FAILED = "TASK_STATE_FAILED"
CANCELED = "TASK_STATE_CANCELED"
REJECTED = "TASK_STATE_REJECTED"
INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"
STATES = (
    SUBMITTED, WORKING, COMPLETED, FAILED, CANCELED, INPUT_REQUIRED, REJECTED, AUTH_REQUIRED,
)  # fmt: skip
ENDED = (COMPLETED, FAILED, CANCELED, REJECTED)
STILL = (*ENDED, INPUT_REQUIRED, AUTH_REQUIRED)  # nothing more comes by itself


class TaskInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a task begins with: which skill, and the message as it came."""

    skill: str
    message: dict[str, Any]
    context: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notification: the status it was answered with, 0 where
    nothing came; `after_s` is how long the receiver asked to be left alone."""

    status: int = 0
    why: str = ""
    after_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Whether the receiver has it."""
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the receiver will not take it, however often it comes."""
        return 300 <= self.status < 500 and self.status not in (408, 425, 429)


class Webhooks(Protocol):
    """Where notifications may go and files come from, and how they get
    there."""

    on: bool

    async def admit(self, url: str) -> None:
        """Raise PushUrlError unless notifications may go there."""
        ...

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """Deliver to an address that is looked at anew; PushUrlError if it may
        no longer be gone to."""
        ...

    async def get(self, url: str) -> tuple[bytes, str]:
        """Return what is at an address that is looked at alike, and its media
        type; FileError where there is nothing to be had."""
        ...


class Vouching(Protocol):
    """Signs what this server says, with a key whose public half it shows."""

    async def vouch(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a signed JWT."""
        ...


class TaskMissingError(MissingError):
    """There is no such task, or it is not yours to see."""

    code = "a2a.task"


class TaskNotCancelableError(ConflictError):
    """The task has ended; nothing is left to cancel."""

    code = "a2a.not_cancelable"


class OperationError(UnsupportedError):
    """This agent does not do that."""

    code = "a2a.unsupported"


class PushError(UnsupportedError):
    """This server delivers no push notifications."""

    code = "a2a.push"


class PushUrlError(InvalidError):
    """Notifications may not go to that address."""

    code = "a2a.push_url"


class PushConfigError(InvalidError):
    """That is not how notifications are asked for."""

    code = "a2a.push_config"


class PushMissingError(MissingError):
    """No such notifications were asked for."""

    code = "a2a.push_missing"


class PushSecretError(DeniedError):
    """A secret is not given from within a run, whose log would keep it."""

    code = "a2a.push_secret"


class ContentTypeError(InvalidError):
    """A part is of a media type that is not taken."""

    code = "a2a.content_type"


class FileError(InvalidError):
    """The file of a part cannot be had."""

    code = "a2a.file"


class VersionError(UnsupportedError):
    """That version of the protocol is not spoken here."""

    code = "a2a.version"


class SkillError(InvalidError):
    """It is not said which skill is meant, or there is none of that name."""

    code = "a2a.skill"


# JSON-RPC number, HTTP status, google.rpc status and reason of each.
NUMBERS: dict[type[SquadError], tuple[int, int, str, str]] = {
    TaskMissingError: (-32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"),
    TaskNotCancelableError: (-32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
    PushError: (-32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    OperationError: (-32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
    ContentTypeError: (-32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"),
    VersionError: (-32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
}
