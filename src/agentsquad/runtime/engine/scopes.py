"""Scopes: parts of a run that are cancelled as a whole, or kept from being so.

A scope lives in the workflow's own coroutine, and everything asked for inside
belongs to it, branches included. Cancelling is told once: each branch hears of
it where it waits, may clean up, and is not told again. Effects and child runs
that were asked for are brought to their end first, as when a run is cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import Any

from agentsquad.runtime.engine.branches import Beside, close
from agentsquad.runtime.engine.command import Sleep
from agentsquad.runtime.engine.contract import CancelSignal, ScopeDeadlineError
from agentsquad.runtime.engine.ground import Ground
from agentsquad.runtime.engine.scheduler import TIMER, Scope, Task


class CancelScope:
    """What `async with ctx.scope(timeout_ms=…) as scope:` gives.

    A scope that was cancelled is left quietly and `reason` says why; one whose
    time ran out raises ScopeDeadlineError. One that came to its end all the
    same counts as done.
    """

    def __init__(self, flow: Ground, *, timeout_ms: int | None = None) -> None:
        self.reason: str | None = None
        self._flow = flow
        self._timeout_ms = timeout_ms
        self._expired = False
        self._timer = ""
        self._scope: Scope | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped."""
        return self.reason is not None

    def cancel(self, reason: str) -> None:
        """Stop what is done inside; nothing when that was done already, or
        something around it is being stopped."""
        if self._scope is not None and not self._scope.stopping:
            self.reason = reason
            self._flow.scheduler.cancel(self._scope, CancelSignal(reason))

    def expire(self) -> None:
        """Hear that the time is over."""
        if self._scope is not None and not self._scope.stopping:
            self._expired = True
            self.cancel(f"it took longer than {self._timeout_ms} ms")

    async def __aenter__(self) -> CancelScope:
        flow, task = self._flow, self._flow.task
        position = task.next_position()
        task.mark()
        self._scope = task.scope = Scope(task.scope)
        if self._timeout_ms is not None:
            self._timer = f"{position}.{TIMER}"
            due = flow.due_ms(self._timeout_ms)
            flow.limits[self._timer] = self
            flow.ask(Sleep(position=self._timer, due_ms=due, name="time limit"))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        scope = self._scope
        assert scope is not None
        if isinstance(error, GeneratorExit):  # the run left the memory
            return False
        other = await _leave(self._flow, scope, error)
        if self._flow.limits.pop(self._timer, None) is not None:
            self._flow.drop(self._timer)
        self._scope = None
        came = error if other is None else other
        if came is None or came is not scope.signal:
            if came is None:
                self.reason = None
            if other is not None:
                raise other
            return False
        if self._expired:
            raise ScopeDeadlineError(
                f"what stands in the scope took longer than {self._timeout_ms} ms",
                details={"timeout_ms": self._timeout_ms},
            ) from None
        return True


async def shield(flow: Ground, branch: Awaitable[Any]) -> Any:
    """Await something; what is cancelled around it is told afterwards."""
    task = flow.task
    try:
        task.check()
    except CancelSignal:
        close(branch)
        raise
    scope = task.scope = Scope(task.scope, shield=True)
    result: Any = None
    error: BaseException | None = None
    try:
        result = await branch
    except (Exception, CancelSignal) as came:  # noqa: BLE001 - raised again below
        error = came
    error = await _leave(flow, scope, error) or error
    if error is not None:
        raise error
    return result


async def _leave(flow: Ground, scope: Scope, error: BaseException | None) -> BaseException | None:
    """Wait for what was begun in a scope beside its own code, go on in the
    scope around, and return what came of the waiting."""
    task = flow.task
    other: BaseException | None = None
    groups = [one for one in task.out or () if one.scope.inside(scope)]
    if groups:
        flow.scheduler.dismiss(task, groups, error)
        for group in groups:
            assert isinstance(group, Beside)
            try:
                await group.ended()
            except CancelSignal as signal:
                other = signal
        task.out = [one for one in task.out or () if one not in groups] or None
        if error is None and other is None:
            other = next((one.failure for one in groups if one.failure is not None), None)
    assert scope.outer is not None
    task.scope = scope.outer
    if task.owed is not None and task.owed.scope is scope:
        # What ends with an error while it is stopped ends because of that.
        other = other or (None if error is None else task.owed)
        task.owed = None
    if scope.missed is not None and scope.missed is not error:
        _tell(task, scope.missed)
    return other


def _tell(task: Task, missed: CancelSignal) -> None:
    """Let a task hear of what was cancelled while a shield was up."""
    reached, shielded = task.scope.reached_from(missed.scope)
    if shielded is not None:
        shielded.missed = missed
    elif reached and (task.owed is None or task.owed.scope.inside(missed.scope)):
        task.owed = missed
