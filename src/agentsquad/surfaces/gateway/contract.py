"""What every surface stands on: a Caller makes a Call and gets an Answer, or
one of the errors of the one table.

A surface translates its protocol into these and back; it neither authenticates
nor authorizes nor limits by itself, and it knows no action by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, InvalidError
from agentsquad.kernel.event import Event
from agentsquad.kernel.resource import Kind
from agentsquad.trust.identity.contract import Principal, Shown
from agentsquad.trust.threats.contract import Hit

DEFAULT_NAMESPACE = "default"
SYSTEM_NAMESPACE = "system"  # whose log keeps who may sign in; never a tenant's
KEY_LENGTH_MAX = 255


# What a field without an example is shown with, by its name.
SAMPLES = {
    "run": "kooa4lnr33",
    "item": "bad24e567ea9",
    "position": "8",
    "reason": "checked with the vendor",
    "name": "go",
}


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input field: `kind` is text, integer, number, flag, choice, list or
    json.

    `file` is `in` for the path of a file (or folder) that is read, `out` for
    one that is written, empty for everything else.
    """

    name: str
    kind: str
    required: bool
    default: Any = None
    description: str = ""
    examples: tuple[Any, ...] = ()
    choices: tuple[str, ...] = ()
    positional: bool = False
    file: Literal["", "in", "out", "json"] = ""

    @property
    def flag(self) -> str:
        """The option's spelling on a command line."""
        return "--" + self.name.rstrip("_").replace("_", "-")


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One action as offered: its path of words, its fields and its words for
    people.

    `realm` is `system` for what concerns the whole installation; `local` is why
    it cannot be called from afar, empty where it can.
    """

    action: str
    path: tuple[str, ...]
    summary: str
    effect: str
    description: str = ""
    fields: tuple[Field, ...] = ()
    examples: tuple[str, ...] = ()
    realm: Literal["namespace", "system"] = "namespace"
    local: str = ""

    @property
    def example(self) -> str:
        """One line that a person can type."""
        if self.examples:
            return self.examples[0]
        words = ["squad", *self.path]
        for field in self.fields:
            if not field.required:
                continue
            shown = _sample(field)
            words += shown if field.positional else [field.flag, *shown]
        return " ".join(words)


def _sample(field: Field) -> list[str]:
    value: Any = field.examples[0] if field.examples else SAMPLES.get(field.name, "…")
    texts = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    return [f"'{text}'" if set(text) & set(' ;&|<>()$`\\"*?') else text for text in texts]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody recognised, in the namespace they speak of, on one surface.

    `trace` is a W3C traceparent, empty without one.
    """

    principal: Principal
    namespace: str = DEFAULT_NAMESPACE
    surface: str = ""
    address: str = ""
    trace: str = ""

    @property
    def actor(self) -> Actor:
        """Who that is, with the roles of the namespace."""
        return self.principal.acting_in(self.namespace)


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that came along with a call, or was made by one."""

    name: str
    data: bytes
    media_type: str = "application/octet-stream"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of an action.

    `value` is plain JSON. Where the action's input names a local file, the
    value holds its content instead: `{"name": …, "text": …}`, `{"name": …,
    "base64": …}` or `{"$blob": "sha256:…"}`; a path of the server's disk is
    refused. `key` is the Idempotency-Key: the same key with the same call
    gets the same answer, with another call it is a conflict. `timeout_ms` is
    how long the caller waits.
    """

    action: str
    value: Mapping[str, Any]
    caller: Caller
    key: str | None = None
    timeout_ms: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call: `value` is plain JSON; `files` what the action
    wrote; `replayed` whether an earlier call with this key was answered so."""

    value: Any
    files: tuple[File, ...] = ()
    replayed: bool = False


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a namespace are followed: those after `after`, of these
    types (`run.*` means all that begin so) and of streams that begin with one
    of these; all of them where none are named."""

    after: int = 0
    types: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()


class Gateway(Protocol):
    """The same for every surface; made by assembly."""

    def operations(self) -> Sequence[Operation]:
        """Return what may be called from afar, in the order of their names."""
        ...

    def operation(self, action: str) -> Operation:
        """Return one of them; MissingError names the nearest."""
        ...

    def kinds(self) -> Mapping[str, Kind]:
        """Return the kinds of resources by name."""
        ...

    async def enter(
        self, hit: Hit, shown: Shown, *, namespace: str = DEFAULT_NAMESPACE, trace: str = ""
    ) -> Caller:
        """Recognise who asks, once for a request or a connection; raises what
        keeps them out. An entered caller is looked at again with each call."""
        ...

    async def confirm(self, caller: Caller) -> Caller:
        """Return a caller as they stand now, or raise what keeps them out by
        now; cheap, for connections that stay."""
        ...

    async def place(self, caller: Caller) -> int:
        """Return the number of the newest event of the caller's namespace, so
        that what comes from now on can be followed."""
        ...

    async def call(self, call: Call) -> Answer:
        """Carry one call out: limits, access, idempotency, files, the action
        itself."""
        ...

    def follow(self, caller: Caller, what: Following) -> AsyncIterator[Event]:
        """Return the events, first those there are, then those that come, in
        order and without a gap; ends with an error when the caller may no
        longer see them."""
        ...

    async def blob(self, caller: Caller, digest: str) -> File:
        """Return the bytes of a blob."""
        ...

    async def keep(self, caller: Caller, file: File) -> Mapping[str, Any]:
        """Keep bytes as a blob and return how to refer to it."""
        ...


class PathRefusedError(InvalidError):
    """A path of the server's disk cannot be given from afar: send the
    content."""

    code = "gateway.path"


class KeyReusedError(ConflictError):
    """This Idempotency-Key came before with another call."""

    code = "gateway.key_reused"


class KeyPendingError(ConflictError):
    """A call with this Idempotency-Key is under way: ask again."""

    code = "gateway.key_pending"
