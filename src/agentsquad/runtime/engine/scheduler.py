"""A small deterministic scheduler for workflow coroutines.

It knows nothing of clocks, sockets or asyncio: a task runs until it awaits a
`Wait` (one step) or a `Join` (a group of tasks), and only an event makes it run
again. So the order in which code runs is a function of the order of events, in
the first run and in every replay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Coroutine, Generator, Iterator
from typing import Any

from agentsquad.runtime.engine.contract import CancelSignal, ForeignAwaitError

OnEnd = Callable[[Any, BaseException | None], None]


class Wait:
    """What a task awaits for one step's result."""

    __slots__ = ("position",)

    def __init__(self, position: str) -> None:
        self.position = position

    def __await__(self) -> Generator[Wait, Any, Any]:
        return (yield self)


class Join:
    """What a task awaits for a group of tasks, at most `limit` running at
    once."""

    __slots__ = ("errors", "left", "owner", "results", "source", "spawned")

    def __init__(self, source: Iterator[tuple[int, Coroutine[Any, Any, Any]]], size: int) -> None:
        self.source = source
        self.left = size
        self.results: list[Any] = [None] * size
        self.errors: dict[int, BaseException] = {}
        self.owner: Task | None = None
        self.spawned = 0

    def __await__(self) -> Generator[Join, Any, Any]:
        return (yield self)


class Latch:
    """What tasks await until another task opens it; once open it stays open."""

    __slots__ = ("_scheduler", "opened", "tasks")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.opened = False
        self.tasks: list[Task] = []

    def open(self) -> None:
        """Let everybody through, in the order they came."""
        self.opened = True
        self._scheduler.release(self)

    def __await__(self) -> Generator[Latch, Any, Any]:
        return (yield self)


class Task:
    """One coroutine, its place in the workflow's order, and the group it
    belongs to."""

    __slots__ = ("coro", "counter", "group", "index", "on_end", "owed", "path", "waiting")

    def __init__(
        self, coro: Coroutine[Any, Any, Any], path: str, group: Join | None, index: int
    ) -> None:
        self.coro = coro
        self.path = path
        self.counter = 0
        self.group = group
        self.index = index
        self.waiting: Wait | Join | Latch | None = None
        self.owed: CancelSignal | None = None  # raised at its next step
        self.on_end: OnEnd | None = None  # who hears of its end, if not the scheduler's owner

    def next_position(self) -> str:
        """Return the position of this task's next step; raises the signal that
        is owed."""
        if self.owed is not None:
            owed, self.owed = self.owed, None
            raise owed
        self.counter += 1
        return f"{self.path}{self.counter}"


class Scheduler:
    """Runs tasks until every one of them waits; tells `on_end` what the root
    task returned."""

    def __init__(self, on_end: Callable[[Any, BaseException | None], None]) -> None:
        self.current: Task | None = None
        self.waiting: dict[str, Task] = {}
        self._ready: deque[tuple[Task, Any, BaseException | None]] = deque()
        self._tasks: set[Task] = set()
        self._on_end = on_end

    def spawn(
        self, coro: Coroutine[Any, Any, Any], path: str = "", on_end: OnEnd | None = None
    ) -> Task:
        """Add a root task; with `on_end`, a branch that somebody else waits
        for, stopped with the run."""
        task = self._add(coro, path, None, 0)
        task.on_end = on_end
        return task

    def _add(
        self, coro: Coroutine[Any, Any, Any], path: str, group: Join | None, index: int
    ) -> Task:
        task = Task(coro, path, group, index)
        self._tasks.add(task)
        self._ready.append((task, None, None))
        return task

    def wake(self, position: str, value: Any, error: BaseException | None = None) -> bool:
        """Give a waiting step its result; False if nothing waits there."""
        task = self.waiting.pop(position, None)
        if task is None:
            return False
        self._ready.append((task, value, error))
        return True

    def interrupt(self, signal: CancelSignal, kept: Collection[str]) -> None:
        """Throw into every waiting task, in the order of their places.

        One that waits at a kept position gets its result first and the signal
        at its next step; one that waits for a group gets it when the group has
        ended. Nothing more of a group is started.
        """
        for task in sorted(self._tasks, key=lambda one: order(one.path)):
            if task.group is not None:
                task.group.left -= self._drop(task.group)
            waiting = task.waiting
            if isinstance(waiting, Wait) and waiting.position not in kept:
                del self.waiting[waiting.position]
            elif isinstance(waiting, Latch):
                waiting.tasks.remove(task)
            else:
                task.owed = signal
                continue
            self._ready.append((task, None, signal))

    def branches(self) -> list[Task]:
        """Return the tasks that have not ended, in the order of their
        places."""
        return sorted(self._tasks, key=lambda one: order(one.path))

    def release(self, latch: Latch) -> None:
        """Make every task that waits at a latch ready."""
        self._ready.extend((task, None, None) for task in latch.tasks)
        latch.tasks.clear()

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
                self.release(awaited)
        elif isinstance(awaited, Join):
            task.waiting = awaited
            awaited.owner = task
            self._fill(awaited)
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

    def _fill(self, group: Join) -> None:
        if group.left == 0:
            self._close(group)

    def start_next(self, group: Join, path: str) -> bool:
        """Start the group's next member, if there is one."""
        item = next(group.source, None)
        if item is None:
            return False
        index, coro = item
        group.spawned += 1
        self._add(coro, f"{path}.{index}.", group, index)
        return True

    def _finish(self, task: Task, value: Any, error: BaseException | None) -> None:
        self._tasks.discard(task)
        group = task.group
        if group is None:
            (task.on_end or self._on_end)(value, task.owed or error)
            return
        if error is None:
            group.results[task.index] = value
        else:
            group.errors[task.index] = error
        group.left -= 1
        self.start_next(group, task.path[: task.path.rstrip(".").rindex(".")])
        if group.left == 0:
            self._close(group)

    @staticmethod
    def _drop(group: Join) -> int:
        dropped = 0
        for _, coro in group.source:
            coro.close()
            dropped += 1
        return dropped

    def _close(self, group: Join) -> None:
        owner = group.owner
        if owner is None:
            return
        group.owner = None
        if owner.owed is not None:
            self._ready.append((owner, None, owner.owed))
        elif group.errors:
            self._ready.append((owner, None, group.errors[min(group.errors)]))
        else:
            self._ready.append((owner, group.results, None))

    def close(self) -> None:
        """Forget every task without running it."""
        for task in self._tasks:
            task.coro.close()
        self._tasks.clear()
        self.waiting.clear()
        self._ready.clear()
        self._on_end = _nobody


def _nobody(value: Any, error: BaseException | None) -> None:
    """Hear of an end that is of no interest any more."""


def order(position: str) -> tuple[int, ...]:
    """Return the sort key of a position: numeric, part by part."""
    return tuple(int(part) if part.isdigit() else -1 for part in position.split("."))
