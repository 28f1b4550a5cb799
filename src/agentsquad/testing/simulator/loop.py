"""Loop: an asyncio event loop on virtual time, and the processes that live on
it.

There is no selector and no thread: when nothing is ready, time jumps to the
next timer. Every callback belongs to the `Life` in whose context it was
scheduled; the callbacks of a life that was killed never run again, those of a
paused one wait. So a crash takes effect between any two steps, and nothing of a
dead process is ever cleaned up, as in a real crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.contract import StalledError

T = TypeVar("T")
STEPS_MAX = 30_000  # while time stands still
REACH = 4  # how far out of order a shuffled loop takes what is ready
OWNER: ContextVar[Life | None] = ContextVar("simulated_life", default=None)


class Life:
    """One life of one process, from its start to its death."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.steps = 0
        self.fuse: tuple[int, Callable[[], None]] | None = None  # die at this step
        self.tasks: list[asyncio.Task[Any]] = []
        self.held: list[asyncio.Handle] = []
        self.context = copy_context()
        self.context.run(OWNER.set, self)

    def run(self, fn: Callable[..., T], *args: Any) -> T:
        """Call a function as this process."""
        return self.context.copy().run(fn, *args)


class SimulatedLoop:
    """Runs callbacks in an order fixed by the seed; offers what asyncio asks of
    a loop without sockets and threads."""

    def __init__(self, chance: Chance, *, shuffled: bool = False) -> None:
        self._self: Any = self  # asyncio asks for a loop of its own family
        self._chance = chance
        self._shuffled = shuffled
        self._now = 0.0
        self._count = 0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._dead: list[Life] = []
        self.errors: list[str] = []
        self._still = 0

    # --- what asyncio asks of a loop

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in its turn."""
        handle = asyncio.Handle(callback, args, self._self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback after so many virtual seconds."""
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback at a virtual time."""
        handle = asyncio.TimerHandle(when, callback, args, self._self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self._self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> asyncio.Task[Any]:
        """Start a task; it belongs to the life that starts it."""
        task = asyncio.Task(coro, loop=self._self, name=name or "simulated", context=context)
        owner = OWNER.get()
        if owner is not None:
            owner.tasks.append(task)
            if len(owner.tasks) > 256:
                owner.tasks = [one for one in owner.tasks if not one.done()]
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> Any:
        """Call a function a moment later; there are no threads here."""
        future = self.create_future()

        def call() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)

        self.call_later(self._chance.below(2000) / 1_000_000, call)
        return future

    def get_debug(self) -> bool:
        """Say no."""
        return False

    def is_running(self) -> bool:
        """Say yes."""
        return True

    def is_closed(self) -> bool:
        """Say no."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave cancelled timers where they are: they are passed over."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember what escaped from a callback."""
        if "never retrieved" not in context.get("message", ""):
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    # --- running

    def run(self, coro: Coroutine[Any, Any, T], *, until: float) -> T:
        """Run a task to its end; StalledError when it takes longer than until a
        virtual time, or can never end."""
        asyncio._set_running_loop(self._self)
        try:
            task: asyncio.Task[T] = self.create_task(coro)
            while not task.done():
                self._turn(until)
            return task.result()
        finally:
            asyncio._set_running_loop(None)

    def _turn(self, until: float) -> None:
        timers = self._timers
        while timers and (timers[0][0] <= self._now or not self._ready):
            when, _, timer = heapq.heappop(timers)
            if timer.cancelled():
                continue
            if when > until:
                raise StalledError(f"nothing came to an end by {until:.0f} s of virtual time")
            if when > self._now:
                self._now, self._still = when, 0
            self._ready.append(timer)
        if not self._ready:
            raise StalledError("everything waits and no timer is set")
        ready = self._ready
        if self._shuffled and len(ready) > 1:
            at = self._chance.below(min(len(ready), REACH))
            handle = ready[at]
            del ready[at]
        else:
            handle = ready.popleft()
        if not handle.cancelled():
            self._call(handle)

    def _call(self, handle: asyncio.Handle) -> None:
        context: Context = handle._context  # type: ignore[attr-defined]
        owner = context.get(OWNER)
        if owner is not None:
            if not owner.alive:
                return
            if owner.paused:
                owner.held.append(handle)
                return
            owner.steps += 1
            if owner.fuse is not None and owner.steps >= owner.fuse[0]:
                blow, owner.fuse = owner.fuse[1], None
                blow()
                return
        self._still += 1
        if self._still > STEPS_MAX:
            raise StalledError(f"{STEPS_MAX} steps, and time stands still")
        handle._run()

    def kill(self, life: Life) -> None:
        """End a life between two steps: it does nothing more."""
        life.alive = False
        life.held.clear()
        self._dead.append(life)

    def resume(self, life: Life) -> None:
        """Let a paused life go on."""
        life.paused = False
        held, life.held = life.held, []
        self._ready.extend(held)

    def bury(self, *living: Life) -> None:
        """Close what is left of all lives, when the simulation is over."""
        for life in (*self._dead, *living):
            life.alive = False
            for task in life.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    coro: Any = task.get_coro()
                    with contextlib.suppress(BaseException):
                        life.run(coro.close)
            life.tasks.clear()
            life.held.clear()
        self._ready.clear()
        self._timers.clear()
