"""What others may know of the engine: workflows, the context they are written
against, and errors.

A workflow is a coroutine that is pure besides its context: every step it asks
for is journaled, so that running it again over the journal resumes, replays or
forks it.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import typing
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import (
    ConflictError,
    DeadlineError,
    DeniedError,
    InvalidError,
)
from agentsquad.kernel.policy import Decision
from agentsquad.runtime.engine.deployed.contract import Deployed as Deployed
from agentsquad.runtime.engine.deployed.contract import Deployments as Deployments
from agentsquad.runtime.engine.deployed.contract import Manifests as Manifests
from agentsquad.runtime.engine.inbound.contract import Approval as Approval
from agentsquad.runtime.engine.inbound.contract import InboxItem as InboxItem
from agentsquad.runtime.engine.inbound.contract import Outcome as Outcome
from agentsquad.runtime.engine.inbound.contract import UpdateAnswer
from agentsquad.runtime.engine.stopping.contract import CancelSignal as CancelSignal
from agentsquad.runtime.engine.stopping.contract import ContinueSignal as ContinueSignal
from agentsquad.runtime.engine.stopping.contract import DeadlineSignal as DeadlineSignal
from agentsquad.runtime.engine.stopping.contract import (
    DefinitionChangedError as DefinitionChangedError,
)
from agentsquad.runtime.engine.stopping.contract import DepthError as DepthError
from agentsquad.runtime.engine.stopping.contract import ForeignAwaitError as ForeignAwaitError
from agentsquad.runtime.engine.stopping.contract import LoopLimitError as LoopLimitError
from agentsquad.runtime.engine.stopping.contract import (
    NonDeterministicError as NonDeterministicError,
)
from agentsquad.runtime.engine.stopping.contract import NoProgressError as NoProgressError
from agentsquad.runtime.engine.stopping.contract import RaceLostError as RaceLostError
from agentsquad.runtime.engine.stopping.contract import RacingEffectError as RacingEffectError
from agentsquad.runtime.engine.stopping.contract import ScopeDeadlineError as ScopeDeadlineError
from agentsquad.runtime.engine.stopping.contract import StepDeadlineError as StepDeadlineError
from agentsquad.runtime.engine.stopping.contract import TransitionError as TransitionError

T = TypeVar("T")
OnFailure = Literal["fail", "wait"]  # what a step does that failed for good


class WorkflowContext(Protocol):
    """The door as a workflow sees it; every awaited call is one step of the
    run."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    def now_ms(self) -> int:
        """Return the time of the last recorded event, milliseconds UTC; the
        same in a replay."""
        ...

    def random(self) -> float:
        """Return a number in [0, 1) that is the same in a replay."""
        ...

    async def call(  # noqa: PLR0913 - keyword options
        self,
        action: str,
        value: Any = None,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout_ms: int | None = None,
        approval: Approval | Sequence[Approval] | None = None,
        facts: Mapping[str, Any] | None = None,
        on_failure: OnFailure | None = None,
    ) -> Any:
        """Call an action and return its output."""
        ...

    async def agent(
        self, name: str, value: Any, *, task: str | None = None, timeout_ms: int | None = None
    ) -> Any:
        """Let an agent take a turn (a child run) and return its output."""
        ...

    async def decide(
        self, action: str, value: Any, *, facts: Mapping[str, Any] | None = None
    ) -> Decision:
        """Ask policy and record the Decision."""
        ...

    async def query(self, path: str, value: Any) -> Any:
        """Evaluate a policy rule and record its answer."""
        ...

    async def approve(self, action: str, value: Any, **request: Any) -> Approval:
        """Ask a person: evidence, roles, because, expires_ms, requester,
        escalate, on_expiry."""
        ...

    async def sleep(self, duration_ms: int) -> None:
        """Wait; the waiting run holds no memory."""
        ...

    async def signal(self, name: str, *, timeout_ms: int | None = None, **more: Any) -> Any:
        """Wait for a signal and return its payload; StepDeadlineError when time
        runs out, unless there is a `fallback`; `escalate` tells whom then."""
        ...

    def signals(self, name: str, *, timeout_ms: int | None = None) -> AsyncIterator[Any]:
        """Return the signals of a name one by one, for `async for`."""
        ...

    def on_query(self, name: str, fn: Callable[..., Any] | None = None) -> Any:
        """Answer queries of a name, which only look."""
        ...

    def on_update(
        self,
        name: str,
        fn: Callable[..., Any] | None = None,
        *,
        validator: Callable[..., Any] | None = None,
    ) -> Any:
        """Take updates of a name, which are recorded and may do steps."""
        ...

    def patched(self, change: str) -> bool:
        """Whether this run began under code that knew of a change."""
        ...

    async def run(
        self,
        workflow: str,
        value: Any,
        *,
        key: str | None = None,
        timeout_ms: int | None = None,
        on_failure: OnFailure | None = None,
    ) -> Any:
        """Run another workflow as a child and return its output."""
        ...

    async def parallel(self, *branches: Awaitable[Any]) -> list[Any]:
        """Run branches side by side; the error of the first failing branch is
        raised at the end."""
        ...

    async def map(
        self, fn: Callable[[Any], Awaitable[Any]], items: Iterable[Any], *, limit: int = 8
    ) -> list[Any]:
        """Run `fn` over items, at most `limit` at once, results in order."""
        ...

    def stream(
        self,
        fn: Callable[[Any], Awaitable[Any]],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        limit: int = 8,
        ordered: bool = True,
    ) -> Any:
        """Give the results of `fn` over items one by one, with at most `limit`
        under way; neither items nor results are held."""
        ...

    def pipeline(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *stages: Callable[[Any], Awaitable[Any]],
        limit: int | Sequence[int] = 8,
    ) -> Any:
        """Send items through stages, each of which works on at most `limit` at
        once; give the results one by one, in order."""
        ...

    async def race(
        self, *branches: Awaitable[Any], good: Callable[[Any], bool] | None = None
    ) -> Any:
        """Return the first good answer of several branches; the others are
        cancelled, and none of them can change the world (RacingEffectError)."""
        ...

    def eager(self, branch: Awaitable[Any] | Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        """Begin a branch now, to be awaited later; the run, or the scope it was
        begun in, ends after it."""
        ...

    def lazy(self, branch: Awaitable[Any] | Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        """Return a branch that begins when it is first awaited, and never if
        nobody does: `ctx.lazy(lambda: ctx.call(…))`."""
        ...

    def scope(self, *, timeout_ms: int | None = None) -> Any:
        """Return a part of the run that can be cancelled as a whole, to be
        used with `async with`; ScopeDeadlineError when its time runs out."""
        ...

    async def shield(self, branch: Awaitable[Any]) -> Any:
        """Bring something to its end, whatever is cancelled around it."""
        ...

    async def loop(
        self,
        step: Callable[[Any], Awaitable[Any]],
        value: Any,
        *,
        until: Callable[[Any], bool],
        limit: int = 100,
        score: Callable[[Any], float] | None = None,
        patience: int = 3,
    ) -> Any:
        """Repeat a step on its own result until it will do; NoProgressError,
        LoopLimitError."""
        ...

    def continue_as_new(self, value: Any) -> ContinueSignal:
        """End this run and begin another that goes on for it, of the same
        workflow with this input: `raise ctx.continue_as_new(value)`."""
        ...

    def deadline(self, duration_ms: int) -> None:
        """Fail the run if it still goes on after this time."""
        ...

    def latch(self) -> Any:
        """Return a latch that branches of this run can wait at for one
        another."""
        ...

    def saga(self) -> Any:
        """Return a saga whose calls are compensated in reverse dependency order
        on failure."""
        ...


class Cron(msgspec.Struct, frozen=True):
    """When a workflow starts by itself: cron, in an IANA time zone.

    `missed` says which due times that nobody saw are made up for, none older
    than `within_ms`; `overlap` what is done while the run before is open.
    """

    cron: str
    timezone: str = "UTC"
    missed: Literal["last", "all", "skip"] = "last"
    within_ms: int = 86_400_000
    overlap: Literal["allow", "skip", "queue", "cancel"] = "allow"


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A definition: a name, a coroutine function and the digest of what it is
    made of."""

    name: str
    fn: Callable[[Any, Any], Awaitable[Any]]
    input: Any
    output: Any
    digest: str
    summary: str = ""
    version: str = "1"
    timeout_ms: int | None = None
    schedule: str | Cron | None = None
    on: tuple[str, ...] = ()
    key_by: str | None = None
    auto: str | None = None
    example: str | None = None
    safe_reads: tuple[str, ...] = ()
    signals: Mapping[str, Any] = {}
    changes: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    on_failure: OnFailure = "fail"


def workflow(  # noqa: PLR0913 - keyword options
    name: str,
    *,
    input: Any = Any,
    output: Any = Any,
    version: str = "1",
    timeout_ms: int | None = None,
    schedule: str | Cron | None = None,
    on: str | Sequence[str] = (),
    key_by: str | None = None,
    auto: str | None = None,
    example: str | None = None,
    safe_reads: Sequence[str] = (),
    uses: Sequence[Any] = (),
    signals: Mapping[str, Any] | None = None,
    changes: Sequence[str] = (),
    retired: Sequence[str] = (),
    on_failure: OnFailure = "fail",
) -> Callable[[Callable[[Any, Any], Awaitable[Any]]], Workflow]:
    """Mark a coroutine function `fn(ctx, input)` as a workflow.

    `key_by` names a read that turns an input into the key of its run, so that
    the same input from a surface continues the run already there. `auto` names
    the policy rule that may answer approvals in the place of people. `example`
    names a read that returns an input to rehearse with, and `safe_reads` the
    reads a rehearsal may do for real: they change nothing and cost nothing.

    `on` names topics of messages, each of which starts a run with its payload.
    `signals` maps the names of the signals it takes to their types; another
    name or a payload that does not fit is refused. `changes` names what
    `ctx.patched` may ask about; `retired` those whose old path is gone. With
    `on_failure="wait"` a step that fails for good waits for a person.

    The digest covers the source of the module it stands in, of the modules it
    uses and of those in `uses`, so that a run knows whether it goes on under
    the same code.
    """

    def mark(fn: Callable[[Any, Any], Awaitable[Any]]) -> Workflow:
        if not inspect.iscoroutinefunction(fn):
            raise InvalidError(f"workflow {name!r} must be 'async def'", code="workflow.signature")
        hints = typing.get_type_hints(fn) if input is Any or output is Any else {}
        params = list(inspect.signature(fn).parameters)
        return Workflow(
            name=name,
            fn=fn,
            input=hints.get(params[1], Any) if input is Any else input,
            output=hints.get("return", Any) if output is Any else output,
            digest=source_digest(name, version, fn, *uses),
            summary=" ".join((inspect.getdoc(fn) or "").split("\n\n")[0].split()),
            version=version,
            timeout_ms=timeout_ms,
            schedule=schedule,
            on=(on,) if isinstance(on, str) else tuple(on),
            key_by=key_by,
            auto=auto,
            example=example,
            safe_reads=tuple(safe_reads),
            signals=dict(signals or {}),
            changes=tuple(changes),
            retired=tuple(retired),
            on_failure=on_failure,
        )

    return mark


def source_digest(name: str, version: str, *parts: Any) -> str:
    """Return "sha256:…" over the source a definition is made of.

    That is the module each part stands in and every module of the same package
    that it uses, directly or not: a change of any changes the definition.
    Adapters are left out, since what they do is recorded.
    """
    state = hashlib.sha256(f"{name}\n{version}\n".encode())
    for found in sorted(_used(parts)):
        file = getattr(sys.modules.get(found), "__file__", None)
        try:
            text = b"" if file is None else Path(file).read_bytes()
        except OSError:
            text = b""
        state.update(f"{found}\n{len(text)}\n".encode() + text)
    return "sha256:" + state.hexdigest()


def _used(parts: Iterable[Any]) -> set[str]:
    """Return the names of the modules that parts stand in or use."""
    found: set[str] = set()
    open_ = [part.__name__ if inspect.ismodule(part) else part.__module__ for part in parts]
    while open_:
        name = open_.pop()
        module = sys.modules.get(name)
        if name in found or module is None:
            continue
        found.add(name)
        package = name.rpartition(".")[0]
        for value in vars(module).values():
            inner = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", "")
            if (
                isinstance(inner, str)
                and package
                and inner.startswith(f"{package}.")
                and ".adapters." not in inner
            ):
                open_.append(inner)
    return found


class Engine(Protocol):
    """Starts, continues and answers runs."""

    async def start(
        self, workflow: str, value: Any, *, key: str | None = None, actor: str | None = None
    ) -> str:
        """Start a run and return its id; the same key returns the run already
        there."""
        ...

    async def wait(self, run_id: str, *, timeout_ms: int | None = None) -> Outcome:
        """Return when the run has ended, or DeadlineError."""
        ...

    async def outcome(self, run_id: str) -> Outcome:
        """Return how a run stands now."""
        ...

    async def signal(
        self, run_id: str, name: str, payload: Any, *, actor: str, key: str | None = None
    ) -> bool:
        """Send a signal to a run; False when one with this key came before."""
        ...

    async def query(self, run_id: str, name: str, value: Any = None) -> Any:
        """Return what a run answers; nothing of it is written."""
        ...

    async def update(
        self,
        run_id: str,
        name: str,
        value: Any = None,
        *,
        actor: str,
        key: str | None = None,
        timeout_ms: int | None = None,
    ) -> UpdateAnswer:
        """Have a run take an update; the same key gives the same answer."""
        ...

    async def intervene(self, wish: Any, *, actor: str) -> InboxItem:
        """Ask for something to be done by hand (`intervening.Wish`);
        another person must approve it."""
        ...

    async def own(self) -> None:
        """Become the process that drives the runs, or raise EngineBusyError."""
        ...

    async def inbox(self, run_id: str | None = None) -> list[InboxItem]:
        """Return the questions that wait, oldest first."""
        ...

    async def answer(
        self,
        item: str,
        *,
        approve: bool,
        approver: str,
        reason: str,
        roles: tuple[str, ...] = (),
    ) -> None:
        """Answer a question as a person, with the roles they were granted here;
        policy and segregation of duties are checked."""
        ...

    async def discuss(
        self, item: str, text: str, *, actor: Actor, to: str | None = None
    ) -> InboxItem:
        """Say something about an open question, or delegate it `to` a person;
        return it as it then stands."""
        ...

    async def cancel(self, run_id: str, *, actor: str, reason: str) -> None:
        """Ask a run to stop; what it did is compensated."""
        ...

    async def recover(self, *, wait: bool = True) -> list[str]:
        """Continue every open run; return the ids of those that were in the
        middle of something. Without `wait`, beside what is done meanwhile."""
        ...


class ApprovalStaleError(DeniedError):
    """What was approved is not what is about to be done."""

    code = "approval-stale"


class ApprovalRequiredError(DeniedError):
    """Policy asks for a person's approval before this effect."""

    code = "approval.required"


class EffectAmbiguousError(DeadlineError):
    """The effect was sent and its outcome is unknown; it is never sent again
    blindly."""

    code = "effect.ambiguous"


class HaltedError(DeniedError):
    """The kill switch is on: no new effect may leave."""

    code = "control.halted"


class EngineBusyError(ConflictError):
    """Another process is running the runs of this store."""

    code = "engine.busy"

    def __init__(self, message: str | None = None, **options: Any) -> None:
        options.setdefault(
            "hint",
            "use squad inbox, approve and reject from here, or wait until it has ended",
        )
        super().__init__(message, **options)


class Lease(Protocol):
    """The right to drive the runs of a store; one process has it at a time."""

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        ...

    def acquire(self) -> None:
        """Take it, or raise EngineBusyError."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


@runtime_checkable
class Expiring(Protocol):
    """A lease that ends by itself, also while its process stands still."""

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken over yet."""
        ...


@runtime_checkable
class Nudging(Protocol):
    """A lease on a store that says when other processes told it something, so
    that nobody has to look."""

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` then; return how to stop."""
        ...


class Several:
    """Whether several processes may serve the store: true or not."""

    def __init__(self, several: bool) -> None:
        self._several = several

    def __bool__(self) -> bool:
        return self._several


class Stopping(Protocol):
    """How a process that serves hears that it is to end."""

    async def told(self) -> str:
        """Return what said so, when it does."""
        ...
