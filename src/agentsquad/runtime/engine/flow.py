"""Flow: the context that workflow code sees, as a record of what it asks for.

Apart from the decider, which feeds events to the code: everything here runs
inside the workflow's own coroutine. A method gives its step a position, leaves
a command there and waits for the event that answers it.
"""

from __future__ import annotations

import hashlib
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any

import msgspec

from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.policy import Decision
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.branches import Branch, Promise, Stream, race
from agentsquad.runtime.engine.command import Call, Child, Command, Sleep
from agentsquad.runtime.engine.contract import (
    Approval,
    ContinueSignal,
    DepthError,
    OnFailure,
    RacingEffectError,
    Workflow,
)
from agentsquad.runtime.engine.ground import Expiring
from agentsquad.runtime.engine.looping import Bounds, loop
from agentsquad.runtime.engine.saga import Saga
from agentsquad.runtime.engine.scheduler import Join, Latch, Scheduler, Task, Wait
from agentsquad.runtime.engine.scopes import CancelScope, shield
from agentsquad.runtime.engine.state import RunState

DECIDE = "policy.decide"
QUERY = "policy.query"
DEPTH_MAX = 32  # runs below one another
DEADLINE = "deadline"  # the position of a run's own time limit
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode


class Flow:
    """The context of one run (`contract.WorkflowContext`)."""

    workflow: Workflow

    def __init__(self, run: str, registry: Registry, scheduler: Scheduler) -> None:
        self.state = RunState(run=run)
        self.registry = registry
        self.commands: dict[str, Command] = {}
        self.asked: list[str] = []  # positions of commands nobody has looked at yet
        self.sagas: list[Saga] = []
        self.undoable: set[str] = set()  # positions of effects that a saga may undo
        self.patches: dict[str, Any] = {}
        self.limits: dict[str, Expiring] = {}  # by the position of their timer
        self.limited = False  # whether the run has a time limit
        self._scheduler = scheduler
        self._draws = 0
        self.looked = 0  # how long the journal was when the code last asked for the time

    def _waits(self, on_failure: OnFailure | None) -> bool:
        """Return whether a step that fails for good waits for a person."""
        raise NotImplementedError

    def _take(self, name: str) -> Any:
        """Return the next signal of a name that nobody has taken, or None."""
        raise NotImplementedError

    def branches(self) -> list[Task]:
        """Return the branches of this run, in the order of their places."""
        return self._scheduler.branches()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.state.run

    @property
    def actor(self) -> str:
        """Who started the run."""
        return self.state.actor

    def now_ms(self) -> int:
        """Return the time of the last event."""
        self.looked = self.state.version
        return self.state.now_ms

    def due_ms(self, duration_ms: int) -> int:
        """Return when a time is over that begins now; of what was taken over
        from another run, that begins with this one."""
        return max(self.now_ms(), self.state.began_ms) + int(duration_ms)

    def random(self) -> float:
        """Return the next number of a sequence fixed by the run's id."""
        self._draws += 1
        draw = hashlib.sha256(f"{self.state.seed}/{self._draws}".encode()).digest()
        return int.from_bytes(draw[:7], "big") / (1 << 56)

    def drop(self, position: str) -> None:
        """Want nothing any more of what was asked for at a position."""
        raise NotImplementedError

    @property
    def scheduler(self) -> Scheduler:
        """What runs the branches."""
        return self._scheduler

    @property
    def task(self) -> Task:
        """The branch that runs now."""
        task = self._scheduler.current
        assert task is not None, "a workflow context is used outside its workflow"
        return task

    def _position(self) -> str:
        return self.task.next_position()

    def peek_position(self) -> str:
        """Return the position the current task's next step will have."""
        return self.task.peek()

    def ask(self, command: Command) -> None:
        """Leave a command at its position."""
        self.asked.append(command.position)
        self.commands[command.position] = command

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
        undoes: str | None = None,
        on_failure: OnFailure | None = None,
    ) -> Any:
        """Call an action and return its output; `undoes` names the position it
        compensates."""
        task = self.task
        position = task.next_position()
        if task.scope.racing:
            self._refuse_in_race(action)
        self.asked.append(position)
        self.commands[position] = Call(
            position=position,
            name=name or action,
            action=action,
            input=plain(value),
            retry=retry,
            timeout_ms=timeout_ms,
            approvals=_several(approval),
            facts=plain(facts) if facts else {},
            undoes=undoes,
            waits=self._waits(on_failure),
        )
        return await Wait(position)

    def _refuse_in_race(self, action: str) -> None:
        """Raise for an action that changes the world: one of several branches
        that race, or a run below it, may turn out never to have been wanted."""
        found = self.registry.actions.get(action)
        if found is not None and found.spec.effect.outward:
            self.task.mark()
            raise RacingEffectError(
                f"{action} changes the world, and this branch races others",
                hint="let the branches only find out, and act on the answer after the race",
                details={"action": action, "effect": found.spec.effect.value},
            )

    async def agent(
        self, name: str, value: Any, *, task: str | None = None, timeout_ms: int | None = None
    ) -> Any:
        """Let an agent take a turn and return its output."""
        turn = {"agent": name, "input": plain(value), "task": task}
        return await self.run("agent-turn", turn, timeout_ms=timeout_ms)

    async def decide(
        self, action: str, value: Any, *, facts: Mapping[str, Any] | None = None
    ) -> Decision:
        """Ask policy and record the Decision."""
        question = {"action": action, "input": plain(value), "facts": plain(facts or {})}
        return await self.call(DECIDE, question, name=f"decide {action}")  # type: ignore[no-any-return]

    async def query(self, path: str, value: Any) -> Any:
        """Evaluate a policy rule and record its answer."""
        return await self.call(QUERY, {"path": path, "input": plain(value)}, name=path)

    async def sleep(self, duration_ms: int) -> None:
        """Wait for a time."""
        position = self._position()
        self.asked.append(position)
        self.commands[position] = Sleep(position=position, due_ms=self.due_ms(duration_ms))
        await Wait(position)

    async def run(
        self,
        workflow: str,
        value: Any,
        *,
        key: str | None = None,
        timeout_ms: int | None = None,
        on_failure: OnFailure | None = None,
    ) -> Any:
        """Run another workflow as a child."""
        depth = self.state.run.count("/") + 1
        if depth > DEPTH_MAX:
            raise DepthError(
                f"{workflow} would be the {depth}th run below one another",
                hint="a workflow that starts itself needs an end; a loop needs no child runs",
                details={"workflow": workflow, "depth": depth, "limit": DEPTH_MAX},
            )
        position = self._position()
        self.asked.append(position)
        self.commands[position] = Child(
            position=position,
            name=workflow,
            workflow=workflow,
            input=plain(value),
            key=key,
            timeout_ms=timeout_ms,
            waits=self._waits(on_failure),
            racing=self.task.scope.racing,
        )
        output = await Wait(position)
        target = self.registry.workflows.get(workflow)
        if target is not None and target.output is not Any:
            return msgspec.convert(output, target.output, strict=False)
        return output

    async def parallel(self, *branches: Awaitable[Any]) -> list[Any]:
        """Run branches side by side."""
        return await self._group(list(enumerate(branches)), max(1, len(branches)))  # type: ignore[arg-type]

    async def map(
        self, fn: Callable[[Any], Awaitable[Any]], items: Iterable[Any], *, limit: int = 8
    ) -> list[Any]:
        """Run `fn` over items, at most `limit` at once."""
        listed = list(items)
        source = ((index, fn(item)) for index, item in enumerate(listed))
        return await self._group(source, max(1, limit), len(listed))  # type: ignore[arg-type]

    async def _group(
        self,
        members: Iterable[tuple[int, Coroutine[Any, Any, Any]]],
        limit: int,
        size: int | None = None,
    ) -> list[Any]:
        task = self.task
        path = task.next_position()
        number = len(members) if size is None else size  # type: ignore[arg-type]
        group = Join(self._scheduler, task, path, iter(members), number)
        while limit and group.start_next():
            limit -= 1
        return await group  # type: ignore[no-any-return]

    # --- branches that are taken as they come, or never

    def stream(
        self,
        fn: Callable[[Any], Awaitable[Any]],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        limit: int = 8,
        ordered: bool = True,
    ) -> Stream:
        """Run `fn` over items, at most `limit` at once, and give the results
        one by one: `async for result in ctx.stream(…)`."""
        return Stream(self, fn, items, limit=limit, ordered=ordered)

    def pipeline(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *stages: Callable[[Any], Awaitable[Any]],
        limit: int | Sequence[int] = 8,
    ) -> Stream:
        """Send items through stages, each of which works on at most `limit` at
        once; give the results one by one, in order."""
        limits = [limit] * len(stages) if isinstance(limit, int) else list(limit)
        if not stages or len(limits) != len(stages):
            raise InvalidError(
                f"{len(stages)} stages and {len(limits)} limits",
                code="flow.pipeline",
                hint="give ctx.pipeline(items, stage, …) stages, and one limit or one for each",
            )
        for stage, most in zip(stages, limits, strict=True):
            items = Stream(self, stage, items, limit=most)
        assert isinstance(items, Stream)
        return items

    async def race(
        self, *branches: Awaitable[Any], good: Callable[[Any], bool] | None = None
    ) -> Any:
        """Run branches side by side and return the first good answer; the
        others are cancelled, and none of them could change the world."""
        return await race(self, branches, good)

    def eager(self, branch: Branch) -> Promise:
        """Begin a branch now, to be awaited later; the run, or the scope it was
        begun in, ends after it."""
        return Promise(self, branch, begun=True)

    def lazy(self, branch: Branch) -> Promise:
        """Return a branch that begins when it is first awaited, and never if
        nobody does: `ctx.lazy(lambda: ctx.call(…))`."""
        return Promise(self, branch, begun=False)

    def scope(self, *, timeout_ms: int | None = None) -> CancelScope:
        """Return a part of the run that can be cancelled as a whole:
        `async with ctx.scope(timeout_ms=…) as scope:`."""
        return CancelScope(self, timeout_ms=timeout_ms)

    async def shield(self, branch: Awaitable[Any]) -> Any:
        """Bring something to its end, whatever is cancelled around it."""
        return await shield(self, branch)

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
        """Repeat a step on its own result until it will do."""
        return await loop(step, value, until, Bounds(limit=limit, score=score, patience=patience))

    def continue_as_new(self, value: Any) -> ContinueSignal:
        """End this run and begin another that goes on for it, of the same
        workflow with this input: `raise ctx.continue_as_new(value)`."""
        given, expected = plain(value), self.workflow.input
        if expected is not Any:
            try:
                msgspec.convert(given, expected, strict=False)
            except msgspec.ValidationError as error:
                raise InvalidError(
                    f"{self.workflow.name} would not take this: {error}", code="run.input"
                ) from error
        return ContinueSignal(given)

    def deadline(self, duration_ms: int) -> None:
        """Fail the run if it still goes on after this time."""
        self.limited = True
        due = self.due_ms(duration_ms)
        self.ask(Sleep(position=DEADLINE, due_ms=due, name="deadline"))

    def latch(self) -> Latch:
        """Return a latch that branches of this run can wait at for one
        another."""
        return Latch(self._scheduler)

    def saga(self) -> Saga:
        """Return a saga; what its calls did is undone if the run fails or is
        cancelled."""
        saga = Saga(self)
        self.sagas.append(saga)
        return saga


def _several(approval: Approval | Sequence[Approval] | None) -> tuple[Approval, ...]:
    if approval is None:
        return ()
    return (approval,) if isinstance(approval, Approval) else tuple(approval)


def plain(value: Any) -> Any:
    """Return plain JSON for a value: dict, list, str, int, float, bool or
    None."""
    return _read(_write(value))  # tuples become lists, as in the log
