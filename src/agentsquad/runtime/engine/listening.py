"""Inbound: the part of a run's context that hears from outside.

Questions to people, waits for signals, and the handlers of queries and updates.
Apart from `flow`, whose steps only the workflow itself asks for: what stands
here is moved by events that nobody's step wrote.

Laws: an accepted update is answered exactly once, and the run does not end
before; a query leaves no trace; whoever may answer a question at a level was
fixed when it was asked.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.errors import BugError, InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.engine.command import Ask, Reply, WaitSignal
from agentsquad.runtime.engine.contract import (
    Approval,
    CancelSignal,
    DeadlineSignal,
    NonDeterministicError,
    StepDeadlineError,
    Workflow,
)
from agentsquad.runtime.engine.flow import DEADLINE, Flow, plain
from agentsquad.runtime.engine.inbound.contract import (
    ChangeUnknownError,
    Escalation,
    QueryMissingError,
    QueryMutatesError,
    RunEndingError,
    UpdateMissingError,
)
from agentsquad.runtime.engine.inbound.handlers import Handler
from agentsquad.runtime.engine.inbound.ladder import ladder, reached, wake
from agentsquad.runtime.engine.scheduler import Task, Wait

BUILT_IN = ("status", "waiting", "stack", "handlers")
UPDATE = "update."  # how positions of updates begin
NONE: Any = inspect.Parameter.empty  # no fallback was given


class Inbound(Flow):
    """The context as far as it hears from outside."""

    workflow: Workflow
    stopped: CancelSignal | None

    _queries: dict[str, Handler]
    _updates: dict[str, Handler]
    _open: set[str]
    _held: tuple[Any, BaseException | None] | None = None

    def _prepare(self) -> None:
        """Begin with nobody listening."""
        self._queries = {}
        self._updates = {}
        self._open = set()  # positions of updates that are not answered yet

    def _on_end(self, value: Any, error: BaseException | None) -> None:
        """Hear that the workflow's own code has ended."""
        raise NotImplementedError

    @property
    def ending(self) -> bool:
        """Whether the workflow's own code has ended or is being stopped."""
        raise NotImplementedError

    # --- what a workflow offers

    def on_query(self, name: str, fn: Callable[..., Any] | None = None) -> Any:
        """Answer a query of this name; without a function, a decorator."""
        if fn is None:
            return partial(self.on_query, name)
        if name in BUILT_IN:
            raise InvalidError(
                f"every run answers {name!r} by itself",
                code="query.name",
                hint="choose another name",
            )
        self._offered()
        self._queries[name] = Handler.of(name, fn)
        return fn

    def on_update(
        self,
        name: str,
        fn: Callable[..., Any] | None = None,
        *,
        validator: Callable[..., Any] | None = None,
    ) -> Any:
        """Take an update of this name: `validator(value)` refuses by raising or
        returning False, `fn(value)` may do steps and its result is the answer;
        without a function, a decorator."""
        if fn is None:
            return partial(self.on_update, name, validator=validator)
        self._offered()
        self._updates[name] = Handler.of(name, fn, validator)
        return fn

    def _offered(self) -> None:
        if isinstance(self._scheduler.current, _Reader):
            raise QueryMutatesError("a query offers nothing")

    def patched(self, change: str) -> bool:
        """Whether this run began under code that knew of a change; recorded
        when it began, so that it is the same in every replay."""
        if change not in self.workflow.changes:
            raise ChangeUnknownError(
                f"{self.workflow.name} declares no change {change!r}",
                hint=f'@workflow(…, changes=("{change}",))',
            )
        return change in self.state.changes

    # --- people and signals

    async def approve(  # noqa: PLR0913 - keyword options
        self,
        action: str,
        value: Any,
        *,
        evidence: Any = None,
        roles: Iterable[str] = (),
        because: str = "",
        expires_ms: int | None = None,
        requester: str | None = None,
        escalate: Sequence[Escalation] = (),
        on_expiry: str = "fail",
    ) -> Approval:
        """Ask a person; `expires_ms` is how long the question and its answer
        stay good.

        `escalate` is the ladder of those who are asked when nobody answers.
        Nobody at all by the end is an error, or with `on_expiry="refuse"` a no.
        """
        position = self._position()
        asked = tuple(roles)
        now = self.now_ms() if expires_ms is not None or escalate else 0
        end = None if expires_ms is None else now + expires_ms
        self.asked.append(position)
        self.commands[position] = Ask(
            position=position,
            name=f"approve {action}",
            action=action,
            input=plain(value),
            evidence=plain(evidence),
            roles=asked,
            because=because,
            requester=requester or self.state.actor,
            expires_ms=end,
            escalate=ladder(escalate, asked, now, end) if escalate else (),
            refuse=on_expiry == "refuse",
        )
        return await Wait(position)  # type: ignore[no-any-return]

    async def signal(
        self,
        name: str,
        *,
        timeout_ms: int | None = None,
        escalate: Sequence[Escalation] = (),
        fallback: Any = NONE,
    ) -> Any:
        """Wait for a signal; one that came before it was asked for counts.

        `escalate` is the ladder of those who are told that it does not come; at
        `timeout_ms` there is an error, or `fallback` in the signal's place.
        """
        position = self._position()
        early = self._take(name)
        if early is not None:
            self.task.mark()
            return self._payload(name, early)
        now = self.now_ms() if timeout_ms is not None or escalate else 0
        due = None if timeout_ms is None else now + timeout_ms
        self.asked.append(position)
        self.commands[position] = WaitSignal(
            position=position,
            name=name,
            due_ms=due,
            escalate=ladder(escalate, (), now, due) if escalate else (),
        )
        try:
            return await Wait(position)
        except StepDeadlineError:
            if fallback is NONE or self.stopped is not None:
                raise
            return fallback

    def signals(self, name: str, *, timeout_ms: int | None = None) -> AsyncIterator[Any]:
        """Return the signals of a name one by one, for `async for`; it ends
        when none comes for `timeout_ms`."""
        return _Signals(self, name, timeout_ms)

    def _payload(self, name: str, event: Event) -> Any:
        """Return what a signal brought, of the type the workflow declares."""
        value = event.payload.get("payload")
        kind = self.workflow.signals.get(name, Any)
        if kind is Any:
            return value
        try:
            return msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            raise NonDeterministicError(
                f"event {event.seq}: the signal {name} no longer fits its type: {error}",
                details={"event": event.seq, "field": "/payload"},
            ) from error

    def woken(self, position: str, now_ms: int) -> tuple[str, dict[str, Any]] | None:
        """Return the event that tells of a timer of a position; None while it
        is too early."""
        command = self.commands.get(position)
        rungs = command.escalate if isinstance(command, (Ask, WaitSignal)) else ()
        if not rungs:
            return "timer.fired", {"position": position}
        level = self.state.levels.get(position, 0)
        due = wake(rungs, level, _end(command))
        if due is None or now_ms < due:
            return None  # the timer of a rung that was reached before
        if level >= len(rungs):
            return "timer.fired", {"position": position}
        return "wait.escalated", _reached(command, level)

    def _escalated(self, event: Event) -> None:
        """Check that a rung that was reached is one of the ladder's."""
        body = event.payload
        command = self.commands.get(body["position"])
        if not isinstance(command, (Ask, WaitSignal)):
            return  # answered a moment before
        level = body["level"] - 1
        said = _reached(command, level) if level < len(command.escalate) else {}
        if said != body:
            raise NonDeterministicError(
                f"event {event.seq}: step {body['position']} was escalated otherwise",
                details={
                    "event": event.seq,
                    "position": body["position"],
                    "field": "/roles",
                    "was": body["roles"],
                    "now": said.get("roles"),
                },
            )

    # --- queries

    def look(self, name: str, value: Any) -> Any:
        """Return what the workflow answers a query; meant for a copy of the
        run."""
        handler = self._queries.get(name)
        if handler is None:
            raise QueryMissingError(
                f"run {self.state.run} answers no query {name!r}",
                hint=nearest(name, [*BUILT_IN, *self._queries]),
            )
        return plain(self._reading(partial(handler.look, value)))

    def _reading(self, look: Callable[[], Any]) -> Any:
        scheduler = self._scheduler
        before = self._marks()
        scheduler.current = _Reader()
        try:
            said = look()
        finally:
            scheduler.current = None
        if self._marks() != before:
            raise QueryMutatesError("a query only looks: it drew a number, or asked for a step")
        return said

    def _marks(self) -> tuple[int, ...]:
        return (self._draws, len(self.asked), len(self.sagas), len(self.commands))

    @property
    def offers(self) -> dict[str, list[str]]:
        """The names of the queries and updates this run takes now."""
        return {"queries": sorted({*BUILT_IN, *self._queries}), "updates": sorted(self._updates)}

    # --- updates

    def taker(self, name: str) -> Handler:
        """Return what takes an update now, or raise why nothing does."""
        if self.ending:
            raise RunEndingError(f"run {self.state.run} is about to end")
        handler = self._updates.get(name)
        if handler is None:
            raise UpdateMissingError(
                f"run {self.state.run} takes no update {name!r}",
                hint=nearest(name, list(self._updates)),
            )
        return handler

    def judge(self, name: str, value: Any) -> None:
        """Raise unless the workflow takes an update; meant for a copy of the
        run."""
        handler = self.taker(name)
        self._reading(partial(handler.judge, value))

    def _accepted(self, event: Event) -> None:
        body = event.payload
        position = body["position"]
        if self.state.updates.get(body["key"]) is not event:
            return  # the same key a second time
        try:
            handler = self.taker(body["name"])
        except (MissingError, RunEndingError) as error:
            raise NonDeterministicError(
                f"event {event.seq}: the update {body['name']} was taken, now: {error.message}",
                details={"event": event.seq, "position": position, "expected": body["name"]},
            ) from error
        self._open.add(position)
        replied = partial(self._replied, position, body)
        self._scheduler.spawn(handler.run(body["input"]), f"{position}.", replied)

    def _replied(
        self, position: str, body: dict[str, Any], value: Any, error: BaseException | None
    ) -> None:
        """Take the result of an update's handler as the answer to be
        written."""
        came: dict[str, Any]
        if error is None:
            try:
                came = {"output": plain(value)}
            except (TypeError, ValueError) as odd:
                error = BugError(f"the answer is not JSON: {odd}", code="update.output")
        if isinstance(error, DeadlineSignal):
            error = StepDeadlineError(error.reason, code="run.deadline")
        elif isinstance(error, CancelSignal):
            error = errors.ConflictError(f"the run stops: {error.reason}", code="run.stopped")
        if error is not None:
            came = {"error": errors.record(error)}
        self.asked.append(position)
        self.commands[position] = Reply(
            position=position, key=body["key"], name=body["name"], came=came
        )

    def _answered(self, event: Event) -> None:
        """Hear that the answer to an update is written."""
        body = event.payload
        position = body["position"]
        if self.state.answers.get(position) is not event:
            return
        command = self.commands.pop(position, None)
        came = command.came if isinstance(command, Reply) else {}
        for field in ("output", "error"):
            if body.get(field) != came.get(field):
                from agentsquad.kernel.pointer import diff

                pointer, was, now = next(
                    iter(diff(body.get(field), came.get(field))),
                    ("", body.get(field), came.get(field)),
                )
                raise NonDeterministicError(
                    f"event {event.seq}: the update {body['name']} was answered "
                    f"{field}{pointer} = {was!r}, now {now!r}",
                    details={
                        "event": event.seq,
                        "position": position,
                        "field": f"/{field}{pointer}",
                        "was": was,
                        "now": now,
                    },
                )
        self._open.discard(position)
        if not self._open and self._held is not None:
            held, self._held = self._held, None
            self._on_end(*held)

    def _hold(self, value: Any, error: BaseException | None) -> bool:
        """Keep the end of the workflow's code until every update is
        answered."""
        if not self._open:
            return False
        self._held = (value, error)
        return True

    # --- deadlines

    @property
    def until_ms(self) -> int | None:
        """When this run must have ended: its own limit or that of a run above,
        whichever is sooner; what undoes a stopped run has no limit."""
        if self.stopped is not None:
            return None
        above = (self.state.parent or {}).get("deadline_ms")
        own = self.commands.get(DEADLINE)
        if own is None:
            return above
        due: int = own.due_ms  # type: ignore[union-attr, assignment]
        return due if above is None else min(due, above)


class _Signals:
    """Signals of one name, in the order they came."""

    def __init__(self, ctx: Inbound, name: str, timeout_ms: int | None) -> None:
        self._ctx, self._name, self._timeout_ms = ctx, name, timeout_ms

    def __aiter__(self) -> _Signals:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._ctx.signal(self._name, timeout_ms=self._timeout_ms)
        except StepDeadlineError as error:
            if self._timeout_ms is None or self._ctx.stopped is not None:
                raise
            raise StopAsyncIteration from error


class _Reader(Task):
    """Who reads: a task that may do no step."""

    def __init__(self) -> None:
        self.path, self.counter = "query.", 0

    def next_position(self) -> str:
        """Refuse."""
        raise QueryMutatesError(
            "a query or a validator only looks; it may do no step",
            hint="do it in an update",
        )


def _end(command: Any) -> int | None:
    """Return when nobody's answer is waited for any more."""
    end: int | None = command.expires_ms if isinstance(command, Ask) else command.due_ms
    return end


def _reached(command: Any, level: int) -> dict[str, Any]:
    """Return what wait.escalated says of the rung above a level."""
    said = reached(command.position, command.escalate, level, _end(command))
    return said if isinstance(command, Ask) else {**said, "signal": command.name}
