"""Driving: the one workflow type on Temporal; it holds a run's Instance and has
its commands carried out.

It decides nothing itself and touches nothing but Temporal. Its laws are the
decider's: the events it is fed come from the log, in order; from the same
events follow the same commands, so Temporal's replay of this workflow and ours
of the run are the same thing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import msgspec
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    FailureError,
    WorkflowAlreadyStartedError,
)
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.engine.command import Ask, Call, Child, Command, Sleep, WaitSignal
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.parking import child_id
from agentsquad.runtime.engine.versions import ADOPTED, Version
from agentsquad.runtime.temporal.adapters.claim import Claim

TYPE = "agentsquad-run"
LOAD_BATCH = 500  # events folded before Temporal may look whether the workflow still lives
# Temporal takes 2,000 of each in one execution.
BUSY_MAX = 500
CHILDREN_MAX = 1000
LONGEST = timedelta(days=3650)  # how long a step may take is said at the door
SHORTLY = timedelta(milliseconds=1)
LOCAL = timedelta(seconds=30)
AGAIN = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5)
)
NAMES = ("look", "end", "stop")  # of tasks that are no step; no position is called so


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker lends to the workflows it drives."""

    version: Callable[[Claim], Version]
    lost_after_ms: int
    history_max: int
    followed: dict[str, int]  # run -> how far its journal has been followed; told, never asked


class Binding(Interceptor):
    """Hands a worker's registry to the workflows, which a worker makes
    itself."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """Return the class that adds it to the arguments."""
        bound = self._bound

        class Bind(WorkflowInboundInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                input.args = [*input.args, bound]
                return await super().execute_workflow(input)

        return Bind


@workflow.defn(name=TYPE, sandboxed=False, failure_exception_types=[Exception])
class DrivenRun:
    """One run. An execution of it is disposable: another one goes on from the
    log."""

    def __init__(self) -> None:
        self._claim = Claim(run="", log="")
        self._bound: Bound | None = None
        self._instance: Instance | None = None
        self._ran: Version | None = None
        self._moved = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asleep: set[str] = set()
        self._dropped: set[str] = set()
        self._later: deque[str] = deque()
        self._children: set[str] = set()
        self._held: list[str] = []
        self._told = 1
        self._looked = 0
        self._closed = False
        self._cancelled = False
        self._failure: str | None = None

    @workflow.run
    async def run(self, claim: Claim, bound: Bound | None = None) -> str:
        """Drive a run to its end and return how it ended."""
        self._claim, self._bound = claim, bound
        self._spawn("look", self._look())
        while not self._settled():
            try:
                await workflow.wait_condition(self._settled)
            except asyncio.CancelledError:
                self._cancelled = True
                self._spawn("stop", self._stop())
        if self._failure is not None:
            # While Temporal replays, it finds by itself that this is not what
            # its history holds, and ends the execution; it must not end twice.
            await workflow.wait_condition(lambda: not workflow.unsafe.is_replaying())
            raise ApplicationError("the run cannot go on", type=self._failure, non_retryable=True)
        if not self._closed:
            workflow.continue_as_new(args=[Claim(run=claim.run, log=claim.log)])
        assert self._instance is not None
        status = self._instance.state.status
        if status == "cancelled" and self._cancelled:
            raise asyncio.CancelledError
        if status == "failed":
            code = str((self._instance.state.error or {}).get("code"))
            raise ApplicationError("the run failed", type=code, non_retryable=True)
        return status

    @workflow.signal
    def told(self) -> None:
        """Hear that something was added to the journal from outside."""
        self._told += 1
        if self._claim.run:  # a signal may come before the run's own code begins
            self._spawn("look", self._look())

    @workflow.query
    def standing(self) -> dict[str, Any]:
        """Tell how far the journal has been followed, and which positions are
        open."""
        instance = self._instance
        return {
            "version": 0 if instance is None else instance.state.version,
            "status": "new" if instance is None else instance.state.status,
            "open": [] if instance is None else list(instance.commands),
        }

    # --- the journal

    async def _look(self) -> None:
        while self._looked < self._told:
            told = self._told
            await self._take(await self._local("look"))
            self._looked = told

    async def _take(self, claim: Claim) -> None:
        """Follow the journal as far as a claim goes, and have done what is then
        asked for."""
        instance = self._instance
        if instance is None:
            assert self._bound is not None
            version = self._ran = self._bound.version(claim)
            instance = Instance(claim.run, version.workflow, version.world.registry)
            for number, event in enumerate(claim.events, 1):
                instance.apply(event)
                if number % LOAD_BATCH == 0:
                    await workflow.sleep(SHORTLY)
            self._instance = instance
        else:
            for event in claim.events:
                if event.stream_seq <= instance.state.version:
                    continue
                instance.apply(event)
                assert self._ran is not None
                if event.type == ADOPTED and not self._ran.fits(event.payload):
                    self._moved = True  # it goes on anew, under the other version
                    return
        assert self._bound is not None
        self._bound.followed[claim.run] = instance.state.version
        self._issue(instance)
        for position in sorted(self._asleep):
            if position not in instance.commands:
                self._drop(position)

    @property
    def _version(self) -> int:
        return 0 if self._instance is None else self._instance.state.version

    # --- what the run asks for

    def _issue(self, instance: Instance) -> None:
        if instance.ended or instance.end is not None:
            self._spawn("end", self._end())
            return
        if instance.halts:
            self._halt(instance)
        instance.again.clear()
        asked, instance.asked = instance.asked, []
        for position in dict.fromkeys(asked):
            if position in instance.commands:
                self._later.append(position)
        self._next(instance)

    def _next(self, instance: Instance) -> None:
        """Begin what was asked for, as far as there is room."""
        self._children &= instance.commands.keys()
        while self._later:
            position = self._later[0]
            command = instance.commands.get(position)
            if command is not None and self._crowded(command):
                return
            self._later.popleft()
            if command is None:
                continue
            if self._full():
                self._held.append(position)
            else:
                self._spawn(position, self._carry(instance, position, command))

    def _crowded(self, command: Command) -> bool:
        """Whether so much is under way that Temporal would take no more."""
        if isinstance(command, Child) and len(self._children) >= CHILDREN_MAX:
            return command.position not in self._children
        return len(self._tasks) - len(self._asleep) >= BUSY_MAX

    def _halt(self, instance: Instance) -> None:
        """Let go of what is not wanted any more. A call that may change the
        world is not taken back: it has perhaps left, and what became of it is
        awaited."""
        halts, instance.halts = instance.halts, []
        for position in halts:
            task = self._tasks.get(position)
            if position not in instance.leaving:
                if task is not None:
                    self._drop(position)
            elif task is None and position not in instance.state.effects:
                instance.asked.append(position)  # to be ended

    def _drop(self, position: str) -> None:
        self._dropped.add(position)
        self._tasks[position].cancel()

    def _full(self) -> bool:
        """Whether Temporal's history is so long that nothing new is begun in
        it."""
        assert self._bound is not None
        info = workflow.info()
        return (
            info.get_current_history_length() >= self._bound.history_max
            or info.is_continue_as_new_suggested()
        )

    def _settled(self) -> bool:
        if self._failure is not None or self._closed or self._moved:
            return True
        busy = self._tasks.keys() - self._asleep
        return bool(self._held) and not busy and not self._later

    def _spawn(self, name: str, doing: Coroutine[Any, Any, None]) -> None:
        if name in self._tasks:
            doing.close()
            return

        async def watched() -> None:
            ours = True
            try:
                await doing
            except asyncio.CancelledError:
                ours = name in self._dropped  # else it is the workflow that is let go of
            except FailureError as error:
                cause = error.cause if isinstance(error, ActivityError) else error
                if not isinstance(cause, CancelledError):
                    self._failure = getattr(cause, "type", None) or type(cause).__name__
            except SquadError as error:
                self._failure = error.code
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would hear of it
                workflow.logger.exception("run %s cannot go on", self._claim.run)
                self._failure = type(error).__name__
            finally:
                del self._tasks[name]
                self._dropped.discard(name)
            if ours and self._later and self._instance is not None:
                self._next(self._instance)

        self._tasks[name] = asyncio.create_task(watched())

    async def _carry(self, instance: Instance, position: str, command: Command) -> None:
        if isinstance(command, Call) and not self._quick(command):
            await self._take(await self._remote(position, command))
            return
        left = position in instance.leaving
        await self._take(await self._local("perform", position))
        if position not in instance.commands:
            return
        if isinstance(command, (Sleep, WaitSignal, Ask)):
            await self._sleep(instance, position)
        if not isinstance(command, Child):
            return
        if position not in instance.leaving:
            self._children.add(position)
            await self._begin_child(child_id(self._claim.run, command))
        if position in instance.leaving and not left and position in instance.commands:
            # It became unwanted meanwhile: now the child is asked to stop.
            await self._take(await self._local("perform", position))

    def _quick(self, command: Call) -> bool:
        """Whether a call is done at once, without asking Temporal who does it:
        it changes nothing outside, and waits for nobody."""
        assert self._instance is not None
        action = self._instance.registry.actions.get(command.action)
        if action is None or action.spec.effect is Effect.PURE:
            return True
        return not action.is_async and not action.spec.effect.outward

    async def _sleep(self, instance: Instance, position: str) -> None:
        """Wait until a wait's time has come, if it has one, and say so."""
        state = instance.state
        while position in instance.commands and position in state.timers:
            wait_ms = state.timers[position] - workflow.time_ns() // 1_000_000
            self._asleep.add(position)
            self._next(instance)  # who sleeps makes room
            try:
                await workflow.sleep(max(SHORTLY, timedelta(milliseconds=wait_ms)))
            finally:
                self._asleep.discard(position)
            await self._take(await self._local("fire", position))

    async def _begin_child(self, child: str) -> None:
        """Start the workflow of a child; its end comes through the log."""
        try:
            handle = await workflow.start_child_workflow(
                TYPE,
                args=[Claim(run=child, log=self._claim.log)],
                id=child,
                task_timeout=workflow.info().task_timeout,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
            )
        except WorkflowAlreadyStartedError:
            return
        handle.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _end(self) -> None:
        """Have the end written, if it is not, and the run above told of it."""
        await self._take(await self._local("end"))
        assert self._instance is not None
        self._closed = self._instance.ended

    async def _stop(self) -> None:
        """Somebody cancelled the execution: ask the run to stop."""
        await workflow.wait_condition(lambda: self._instance is not None)
        await self._take(await self._local("stop"))

    # --- activities

    async def _local(self, name: str, *more: str) -> Claim:
        """Have something done in this worker that is quick, and harmless
        twice."""
        done: Claim = await workflow.execute_local_activity(
            name,
            args=[self._claim.run, *more, self._version],
            result_type=Claim,
            start_to_close_timeout=LOCAL,
            retry_policy=AGAIN,
        )
        return done

    async def _remote(self, position: str, command: Call) -> Claim:
        """Have a step carried out, by whichever worker is free."""
        assert self._bound is not None
        done: Claim = await workflow.execute_activity(
            "perform",
            args=[self._claim.run, position, self._version],
            result_type=Claim,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=timedelta(milliseconds=self._bound.lost_after_ms),
            retry_policy=AGAIN,
            summary=command.action,
        )
        return done
