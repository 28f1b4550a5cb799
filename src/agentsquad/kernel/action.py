"""Action: a typed callable capability, described once and offered on every
surface.

The decorator only attaches a spec; nothing is registered by importing. The spec
feeds validation, documentation, workflow steps, agent tools and the command
line, so it holds everything they need.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Literal, TypeVar

import msgspec

from agentsquad.kernel.errors import InvalidError


class Effect(str, Enum):
    """What calling an action does to the world outside."""

    PURE = "pure"  # a function of its input; replay computes it again and compares
    READ = "read"  # looks at the world; replay uses what was recorded
    WRITE = "write"  # changes the world; can be compensated
    IRREVERSIBLE = "irreversible"  # changes the world for good; sent at most once

    outward: bool
    """Whether it must pass the effect ledger."""

    def __new__(cls, value: str) -> Effect:
        """Make a member; what it says of itself is looked at for every step."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.outward = value in ("write", "irreversible")
        return member


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently a failed step is tried again.

    Only errors whose table row is retryable, and codes named in `codes`, are
    retried. The wait before attempt n (from 1) is `initial_ms * factor**(n-1)`,
    at most `max_ms`, times a random factor in [1 - jitter, 1 + jitter] drawn
    through the entropy port.
    """

    attempts: int = 1
    initial_ms: int = 200
    factor: float = 2.0
    max_ms: int = 30_000
    jitter: float = 0.2
    codes: tuple[str, ...] = ()


class ActionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about an action besides its code.

    `files` says which input fields name local files (`in`, to be read) or
    folders and files to write (`out`): from afar their content travels instead.
    One marked `json` takes JSON text beside, or instead: from afar the value
    itself.
    `realm` is `system` for what concerns the whole installation, not one
    namespace: who may sign in, which namespaces there are. `local` is why it
    cannot be called from afar, empty where it can.
    """

    name: str
    effect: Effect
    input: Any
    output: Any
    summary: str
    description: str = ""
    version: int = 1
    compensate: str | None = None
    reconcile: str | None = None
    preview: str | None = None
    timeout_ms: int | None = None
    heartbeat_ms: int | None = None  # longest silence between two `ctx.heartbeat()`
    retry: RetryPolicy = RetryPolicy()
    scopes: tuple[str, ...] = ()
    cli: tuple[str, ...] | None = None
    examples: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    files: Mapping[str, Literal["in", "out", "json"]] = {}
    realm: Literal["namespace", "system"] = "namespace"
    local: str = ""

    @property
    def subsystem(self) -> str:
        """The part before the dot."""
        return self.name.partition(".")[0]


class Action:
    """A spec and the function that carries it out: `fn(ctx, input) -> output`,
    sync or async."""

    __slots__ = ("effect", "fn", "is_async", "spec")

    def __init__(self, spec: ActionSpec, fn: Callable[..., Any]) -> None:
        self.spec = spec
        self.fn = fn
        self.is_async = inspect.iscoroutinefunction(fn)
        self.effect: str = spec.effect.value

    def __repr__(self) -> str:
        return f"<Action {self.spec.name} ({self.spec.effect.value})>"

    def __call__(self, ctx: Any, value: Any) -> Any:
        """Call the function itself, past every interceptor; only the engine and
        tests do."""
        return self.fn(ctx, value)

    @property
    def name(self) -> str:
        """The dotted name."""
        return self.spec.name


F = TypeVar("F", bound=Callable[..., Any] | Callable[..., Awaitable[Any]])


def action(
    name: str,
    *,
    effect: Effect,
    summary: str | None = None,
    **options: Any,
) -> Callable[[F], Action]:
    """Mark a function as an action; its annotations and docstring become the
    spec.

    The function takes `(ctx, input)`; `input` and the return value must be
    annotated. Options are the remaining fields of `ActionSpec`: `compensate`,
    `reconcile` and `preview` name other actions (`preview` is a pure action
    that predicts the output, used by forks instead of the effect), `cli` is the
    command path if it differs from the name, `positional` the input fields
    given without a flag.
    """
    subsystem, dot, verb = name.partition(".")
    if not (subsystem and dot and verb):
        raise InvalidError(
            f"action name {name!r} is not 'subsystem.verb'",
            code="action.name",
            hint="e.g. edi.check",
        )

    def mark(fn: F) -> Action:
        hints = typing.get_type_hints(fn)
        params = list(inspect.signature(fn).parameters)
        if len(params) != 2 or params[1] not in hints or "return" not in hints:
            raise InvalidError(
                f"action {name!r} must be written fn(ctx, input: In) -> Out",
                code="action.signature",
            )
        if options.get("heartbeat_ms") is not None and not inspect.iscoroutinefunction(fn):
            raise InvalidError(
                f"action {name!r} must be 'async def' to have heartbeat_ms",
                code="action.signature",
                hint="a function that is not async cannot be stopped when it falls silent",
            )
        doc = inspect.getdoc(fn) or ""
        head, _, rest = doc.partition("\n\n")
        spec = ActionSpec(
            name=name,
            effect=effect,
            input=hints[params[1]],
            output=hints["return"],
            summary=summary or " ".join(head.split()),
            description=rest.strip(),
            **options,
        )
        return Action(spec, fn)

    return mark
