"""A small deterministic scheduler for workflow coroutines.

It knows nothing of clocks, sockets or asyncio: a task runs until it awaits a
`Wait` (one step), a `Join` (a group of tasks) or a `Latch`, and only an event
makes it run again. So the order in which code runs is a function of the order
of events, in the first run and in every replay.

Laws: a task ends after every task it began; a signal reaches each task of a
cancelled scope once, and none behind a shield; of what has ended nothing is
kept but how far it went (`past`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, Protocol

from agentsquad.runtime.engine.contract import CancelSignal, ForeignAwaitError
from agentsquad.runtime.engine.past import Closed, Marks, Shape, frozen, marked

TIMER = "t"  # part of the position of a scope's time limit


class Scope:
    """A part of a run that is cancelled as a whole, inside another one."""

    __slots__ = ("missed", "outer", "racing", "shield", "signal")

    def __init__(self, outer: Scope | None, *, shield: bool = False, racing: bool = False) -> None:
        self.outer: Scope | None = outer
        self.shield = shield
        self.racing: bool = racing or (outer is not None and outer.racing)
        self.signal: CancelSignal | None = None
        self.missed: CancelSignal | None = None  # came while the shield was up

    def inside(self, scope: Scope) -> bool:
        """Whether this is the scope or lies in it, shields or not."""
        found: Scope | None = self
        while found is not None and found is not scope:
            found = found.outer
        return found is not None

    def reached_from(self, scope: Scope) -> tuple[bool, Scope | None]:
        """Return whether this lies in the scope, and the shield between."""
        found: Scope | None = self
        shield = None
        while found is not None and found is not scope:
            shield = found if found.shield else shield
            found = found.outer
        return found is not None, shield

    @property
    def stopping(self) -> bool:
        """Whether this scope, or one around it up to a shield, is cancelled."""
        found: Scope | None = self
        while found is not None:
            if found.signal is not None:
                return True
            found = None if found.shield else found.outer
        return False


OnEnd = Callable[[Any, BaseException | None], None]


class Wait:
    """What a task awaits for one step's result."""

    __slots__ = ("position",)

    def __init__(self, position: str) -> None:
        self.position = position

    def __await__(self) -> Generator[Wait, Any, Any]:
        return (yield self)


class Group:
    """Tasks that one task began together; a subclass says what is done with
    their ends."""

    __slots__ = ("live", "opener", "past", "path", "scope")

    def __init__(self, opener: Task, path: str, scope: Scope) -> None:
        self.opener = opener
        self.path = path  # the position of the group; members are "path.index."
        self.scope = scope
        self.live = 0
        self.past = opener.mark_group()

    def heard(self, index: int, value: Any, error: BaseException | None) -> None:
        """Take the end of a member."""
        raise NotImplementedError

    def stop(self) -> None:
        """Begin no more members."""

    @property
    def wanted(self) -> bool:
        """Whether its opener, if it succeeds, waits for it to end by itself."""
        return False

    @property
    def failure(self) -> BaseException | None:
        """What went wrong in it that nobody was told."""
        return None


class Join(Group):
    """A group that its opener awaits at once, at most some running at a
    time."""

    __slots__ = ("_scheduler", "errors", "left", "owner", "results", "source")

    def __init__(
        self,
        scheduler: Scheduler,
        opener: Task,
        path: str,
        source: Iterator[tuple[int, Coroutine[Any, Any, Any]]],
        size: int,
    ) -> None:
        super().__init__(opener, path, opener.scope)
        self._scheduler = scheduler
        self.source = source
        self.left = size
        self.results: list[Any] = [None] * size
        self.errors: dict[int, BaseException] = {}
        self.owner: Task | None = None

    def start_next(self) -> bool:
        """Start the next member, if there is one."""
        item = next(self.source, None)
        if item is None:
            return False
        self._scheduler.add(item[1], self, item[0])
        return True

    def heard(self, index: int, value: Any, error: BaseException | None) -> None:
        """Keep the result; let the next one begin, or the opener go on."""
        if error is None:
            self.results[index] = value
        else:
            self.errors[index] = error
        self.left -= 1
        self.start_next()
        if self.left == 0:
            self.close()

    def close(self) -> None:
        """Let the opener go on if it waits for this."""
        owner, self.owner = self.owner, None
        if owner is None:
            return
        if owner.owed is not None:
            self._scheduler.ready(owner, None, owner.owed)
        elif self.errors:
            self._scheduler.ready(owner, None, self.errors[min(self.errors)])
        else:
            self._scheduler.ready(owner, self.results)

    def stop(self) -> None:
        """Drop the members that have not begun."""
        for _, coro in self.source:
            coro.close()
            self.left -= 1

    def __await__(self) -> Generator[Join, Any, Any]:
        return (yield self)


class Latch:
    """What tasks await until another task opens it; once open it stays open.

    One that is rung lets through who waits now, and stays shut.
    """

    __slots__ = ("_scheduler", "opened", "tasks")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.opened = False
        self.tasks: list[Task] = []

    def open(self) -> None:
        """Let everybody through, in the order they came."""
        self.opened = True
        self.ring()

    def ring(self) -> None:
        """Let those through who wait now, in the order they came."""
        for task in self.tasks:
            self._scheduler.ready(task)
        self.tasks.clear()

    def __await__(self) -> Generator[Latch, Any, Any]:
        return (yield self)


class Task:
    """One coroutine, its place in the workflow's order, and the group it
    belongs to; `out` are groups that go on beside it."""

    __slots__ = (
        "coro", "counter", "group", "index", "marks", "on_end", "out", "outcome", "owed", "path",
        "scope", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        path: str,
        group: Group | None,
        index: int,
        scope: Scope,
    ) -> None:
        self.coro = coro
        self.path = path
        self.counter = 0
        self.group = group
        self.index = index
        self.scope = scope
        self.marks: Marks | None = None
        self.out: list[Group] | None = None
        self.outcome: tuple[Any, BaseException | None] | None = None
        self.waiting: Wait | Join | Latch | None = None
        self.owed: CancelSignal | None = None  # raised at its next step
        self.on_end: OnEnd | None = None  # who hears of its end, if not the scheduler's owner

    def next_position(self) -> str:
        """Return the position of this task's next step; raises the signal that
        is owed."""
        self.check()
        self.counter += 1
        return f"{self.path}{self.counter}"

    def peek(self) -> str:
        """Return the position of this task's next step and take nothing."""
        return f"{self.path}{self.counter + 1}"

    def check(self) -> None:
        """Raise the signal that is owed."""
        if self.owed is not None:
            owed, self.owed = self.owed, None
            raise owed

    def mark(self) -> None:
        """Note that the position taken last never gets a result."""
        if self.marks is None:
            self.marks = []
        self.marks.append((self.counter, None))

    def mark_group(self) -> Closed:
        """Note that a group stands at the position taken last."""
        if self.marks is None:
            self.marks = []
        closed = Closed()
        self.marks.append((self.counter, closed))
        return closed

    def adopt(self, group: Group) -> None:
        """Let a group go on beside this task, no longer than it."""
        if self.out is None:
            self.out = []
        self.out.append(group)

    @property
    def shape(self) -> Shape:
        """How far it went."""
        return (self.counter, frozen(self.marks))


class Keeper(Protocol):
    """Who knows what the steps are that tasks wait for."""

    def keeps(self, position: str) -> bool:
        """Whether what was asked for there is brought to an end first."""
        ...

    def asks(self, position: str) -> bool:
        """Whether a person is asked there."""
        ...

    def halted(self, position: str, signal: CancelSignal, *, kept: bool) -> None:
        """Hear that a step is not wanted any more."""
        ...


class Scheduler:
    """Runs tasks until every one of them waits; tells `on_end` what the root
    task returned."""

    def __init__(self, keeper: Keeper, on_end: Callable[[Any, BaseException | None], None]) -> None:
        self.current: Task | None = None
        self.waiting: dict[str, Task] = {}
        self.tasks: dict[str, Task] = {}
        self.roots: dict[str, Task | Shape] = {}
        self.root = Scope(None)
        self._ready: deque[tuple[Task, Any, BaseException | None]] = deque()
        self._keeper = keeper
        self._on_end = on_end

    def spawn(
        self, coro: Coroutine[Any, Any, Any], path: str = "", on_end: OnEnd | None = None
    ) -> Task:
        """Add a root task; with `on_end`, a branch that somebody else waits
        for, stopped with the run. Another with a path stands in no scope."""
        scope = self.root if on_end is not None or not path else Scope(None)
        task = Task(coro, path, None, 0, scope)
        task.on_end = on_end
        self.roots[path] = task
        return self._begin(task)

    def branches(self) -> list[Task]:
        """Return the tasks that have not ended, in the order of their
        places."""
        return sorted(self.tasks.values(), key=lambda one: order(one.path))

    def add(self, branch: Awaitable[Any], group: Group, index: int) -> Task:
        """Begin a member of a group."""
        group.live += 1
        path = f"{group.path}.{index}."
        return self._begin(Task(_coroutine(branch), path, group, index, group.scope))

    def _begin(self, task: Task) -> Task:
        self.tasks[task.path] = task
        self._ready.append((task, None, None))
        return task

    def ready(self, task: Task, value: Any = None, error: BaseException | None = None) -> None:
        """Let a task go on when those before it have."""
        self._ready.append((task, value, error))

    def wake(self, position: str, value: Any, error: BaseException | None = None) -> bool:
        """Give a waiting step its result; False if nothing waits there."""
        task = self.waiting.pop(position, None)
        if task is None:
            return False
        self._ready.append((task, value, error))
        return True

    def passed(self, position: str) -> bool:
        """Whether a result came or could have come at a position before, or is
        not wanted any more: the code has gone on from there."""
        parts = position.split(".")
        path = ""
        if not parts[0].isdigit():  # "undo.1" or "update.1.1"
            path = f"{parts.pop(0)}."
            while parts and path not in self.roots:
                path += f"{parts.pop(0)}."
        node: Task | Shape | None = self.roots.get(path)
        while node is not None and parts and parts[0].isdigit():
            number = int(parts[0])
            task = node if isinstance(node, Task) else None
            counter, marks = (task.counter, task.marks) if task else node  # type: ignore[misc]
            if number > counter:
                return False
            path += parts[0]
            parts = parts[1:]
            hit, group = marked(marks, number)
            if parts == [TIMER]:
                return hit and group is None
            if not parts:
                return not hit and not (task and _waits_at(task, number))
            if group is None or not parts[0].isdigit():
                return False
            path += f".{parts[0]}."
            node = self.tasks.get(path) or group.get(int(parts[0]))
            parts = parts[1:]
        return False

    def cancel(self, scope: Scope, signal: CancelSignal) -> None:
        """Throw into every waiting task of a scope, in the order of their
        places.

        One that waits for a step that is kept gets its result first and the
        signal at its next step; one that waits for a group gets it when the
        group has ended. Nothing more of a group is started. Where the scope, or
        one around it, is cancelled already nothing happens.
        """
        if scope.stopping:
            return
        scope.signal = signal
        signal.scope = scope
        for task in sorted(self.tasks.values(), key=lambda one: order(one.path)):
            reached, shield = task.scope.reached_from(scope)
            if not reached:
                continue
            if shield is not None:
                shield.missed = signal
                if scope is self.root and self._asks(task):
                    self._throw(task, signal)
                continue
            if task.group is not None and task.group.scope.inside(scope):
                task.group.stop()
            for group in task.out or ():
                if group.scope.inside(scope):
                    group.stop()
            self._throw(task, signal)

    def _asks(self, task: Task) -> bool:
        """Whether a task waits for a person: nobody is asked for what stops."""
        waiting = task.waiting
        return isinstance(waiting, Wait) and self._keeper.asks(waiting.position)

    def _throw(self, task: Task, signal: CancelSignal) -> None:
        waiting = task.waiting
        if isinstance(waiting, Wait):
            kept = self._keeper.keeps(waiting.position)
            self._keeper.halted(waiting.position, signal, kept=kept)
            if not kept:
                del self.waiting[waiting.position]
                task.waiting = None
                self._ready.append((task, None, signal))
                return
        elif isinstance(waiting, Latch):
            waiting.tasks.remove(task)
            task.waiting = None
            self._ready.append((task, None, signal))
            return
        if task.owed is None or task.owed.scope.inside(signal.scope):
            task.owed = signal

    def run(self) -> None:
        """Run until no task is ready."""
        while self._ready:
            task, value, error = self._ready.popleft()
            self.current = task
            task.waiting = None
            if error is task.owed:
                task.owed = None
            try:
                awaited = task.coro.send(value) if error is None else task.coro.throw(error)
            except StopIteration as stop:
                self._finish(task, stop.value, None)
            except (Exception, CancelSignal) as failure:  # noqa: BLE001 - user code
                self._finish(task, None, failure)
            else:
                self._park(task, awaited)
        self.current = None

    def _park(self, task: Task, awaited: object) -> None:
        if isinstance(awaited, Wait):
            task.waiting = awaited
            self.waiting[awaited.position] = task
        elif isinstance(awaited, Latch):
            task.waiting = awaited
            awaited.tasks.append(task)
            if awaited.opened:
                awaited.ring()
        elif isinstance(awaited, Join):
            task.waiting = awaited
            awaited.owner = task
            if awaited.left == 0:
                awaited.close()
        else:
            self._ready.append(
                (
                    task,
                    None,
                    ForeignAwaitError(
                        f"the workflow awaited {type(awaited).__name__}, not a step of its context",
                        hint="await only ctx methods; put I/O and asyncio into an action",
                    ),
                )
            )

    def _finish(self, task: Task, value: Any, error: BaseException | None) -> None:
        """End a task, after the groups that go on beside it."""
        if task.out:
            task.outcome = (value, error)
            self.dismiss(task, task.out, error)
            self._ended_beside(task)
            return
        del self.tasks[task.path]
        group = task.group
        if group is None:
            self.roots[task.path] = task.shape
            (task.on_end or self._on_end)(value, task.owed or error)
            return
        group.past.add(task.index, task.shape)
        group.live -= 1
        group.heard(task.index, value, error)
        if group.live == 0 and group.opener.outcome is not None:
            self._ended_beside(group.opener)

    def dismiss(self, task: Task, groups: list[Group], error: BaseException | None) -> None:
        """Stop the groups beside a task that nobody waits for any more."""
        for group in groups:
            if error is not None or not group.wanted:
                group.stop()
                if group.live:
                    self.cancel(group.scope, CancelSignal("nobody waits for it any more"))

    def _ended_beside(self, task: Task) -> None:
        """Let a task end whose groups beside it have."""
        assert task.outcome is not None
        groups = task.out or []
        if any(group.live for group in groups):
            return
        value, error = task.outcome
        failures = (group.failure for group in groups)
        error = error or task.owed or next((one for one in failures if one is not None), None)
        task.out = task.outcome = None
        self._finish(task, value, error)

    def close(self) -> None:
        """Forget every task without running it."""
        for task in self.tasks.values():
            task.coro.close()
        self.forget()

    def forget(self) -> None:
        """Hold on to nothing, so that what is not used any more goes at
        once."""
        gone, self.tasks = self.tasks, {}
        self.roots.clear()
        self.waiting.clear()
        self._ready.clear()
        self._on_end = _nobody
        self._keeper = _NOBODY  # so that it and this are no circle
        for task in gone.values():
            task.waiting = task.group = task.out = None
            del task.coro  # its frame holds what holds the task


def _coroutine(branch: Any) -> Any:
    """Return what a task can run: a coroutine as it is, else one that awaits
    it."""
    return branch if hasattr(branch, "send") else _awaiting(branch)


async def _awaiting(branch: Awaitable[Any]) -> Any:
    return await branch


def _waits_at(task: Task, number: int) -> bool:
    return number == task.counter and isinstance(task.waiting, Wait)


def _nobody(value: Any, error: BaseException | None) -> None:
    """Hear of an end that is of no interest any more."""


class _Nobody:
    """The keeper of a run that has ended."""

    def keeps(self, position: str) -> bool:
        return False

    def asks(self, position: str) -> bool:
        return False

    def halted(self, position: str, signal: CancelSignal, *, kept: bool) -> None:
        """Nothing is under way any more."""


_NOBODY = _Nobody()


def order(position: str) -> tuple[int, ...]:
    """Return the sort key of a position: numeric, part by part."""
    return tuple(int(part) if part.isdigit() else -1 for part in position.split("."))
