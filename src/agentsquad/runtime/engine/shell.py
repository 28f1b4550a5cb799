"""The embedded engine: carries out what instances ask for, on asyncio over the
log.

It decides nothing about a run: it executes commands through the door, appends
what came of them, and feeds every event back in `stream_seq` order. A run that
only waits is forgotten and kept as rows; the event that ends its wait brings it
back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import (
    ConflictError,
    DeadlineError,
    InvalidError,
    MissingError,
    SquadError,
)
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ids import new_id
from agentsquad.runtime.engine.answers import Answers
from agentsquad.runtime.engine.command import Ask, Call, Child, Command, Sleep, WaitSignal
from agentsquad.runtime.engine.contract import (
    DefinitionChangedError,
    Lease,
    NonDeterministicError,
    Outcome,
)
from agentsquad.runtime.engine.decider import Instance, plain
from agentsquad.runtime.engine.door import CallPath, Step, World
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.runtime.engine.perform import Drive, Performer
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.engine.timers import Timers

Watcher = Callable[[Event], None]
# What other processes, and surfaces of this one, tell runs.
TOLD = (
    "run.adopted",
    "approval.given",
    "approval.refused",
    "signal.received",
    "run.cancel_requested",
    "effect.confirmed",
    "effect.failed",
)
POLL_MS = 100  # how soon an answer given in another process is seen
OPENING = ("run.started", *END_EVENTS)
END = "end"  # the name of the task that ends a run
CATCH_UP = "catch-up-"  # the name of a task that is no step


class EmbeddedEngine(Answers, Performer):
    """Starts, continues and answers runs in this process."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.path = CallPath(world, STANDARD)
        self.watchers: list[Watcher] = []
        self.lease: Lease | None = world.ports.get(Lease) if world.ports.has(Lease) else None
        self._poller: asyncio.Task[None] | None = None
        self.drives: dict[str, Drive] = {}
        self._waiters: dict[str, list[asyncio.Future[Outcome]]] = {}
        self.stuck: dict[str, SquadError] = {}
        self.timers = Timers(world.clock, self._fire)
        self._seen = 0
        self._registry_digest = world.registry.digest
        self._background: set[asyncio.Task[None]] = set()
        world.ports.put(CallPath, self.path)
        if not world.ports.has(Gate):
            world.ports.put(Gate, Gate(world.store))

    async def invoke(
        self, action: str, value: Any, *, actor: Actor, facts: dict[str, Any] | None = None
    ) -> Any:
        """Call one action outside any run, as a surface does, and return its
        typed output."""
        step = Step(self.world.registry.action(action), value, actor=actor)
        step.facts = facts or {}
        return await self.path.run(step)

    # --- starting

    async def start(
        self, workflow: str, value: Any, *, key: str | None = None, actor: str | None = None
    ) -> str:
        """Start a run and return its id; the same key returns the run already
        there."""
        await self.own()
        if key is None:
            run = new_id(self.world.clock, self.world.entropy)
        else:
            run = keyed_id(workflow, key)
        await self.begin(run, workflow, plain(value), actor=actor or "service:squad", parent=None)
        return run

    async def begin(
        self, run: str, name: str, value: Any, *, actor: str, parent: dict[str, Any] | None
    ) -> None:
        """Start a run unless it is there already."""
        workflow = self.world.registry.workflow(name)
        if workflow.input is not Any:
            try:
                msgspec.convert(value, workflow.input, strict=False)
            except msgspec.ValidationError as error:
                raise InvalidError(f"input of {name}: {error}", code="run.input") from error
        root = run.partition("/")[0]
        started = NewEvent(
            stream=f"run/{run}",
            type="run.started",
            payload={
                "workflow": name,
                "definition": workflow.digest,
                "input": value,
                "registry": self._registry_digest,
                "policy": self.world.policy.revision,
                "parent": parent,
                "timeout_ms": (parent or {}).get("timeout_ms"),
            },
            actor=actor,
            correlation=root,
        )
        try:
            events = await self.world.store.append([started], expect={f"run/{run}": 0})
        except ConflictError:
            await self._load(run)
            return
        drive = Drive(Instance(run, workflow, self.world.registry))
        self.drives[run] = drive
        self.accept(drive, events)

    # --- feeding events

    async def _load(self, run: str) -> Drive | None:
        """Return the run's drive, rebuilt from its journal; None if it has
        ended."""
        drive = self.drives.get(run)
        if drive is not None:
            return drive
        events = await self.world.store.read_stream(f"run/{run}")
        if not events:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        drive = self.drives.get(run)  # another task may have loaded it meanwhile
        if drive is not None:
            return drive
        if events[-1].type in END_EVENTS:
            return None
        started = events[0].payload
        workflow = self.world.registry.workflow(started["workflow"])
        definition = started["definition"]
        for event in events:
            if event.type == "run.adopted":
                definition = event.payload["definition"]
        if workflow.digest != definition:
            raise DefinitionChangedError(
                f"run {run} began under another version of {workflow.name}",
                hint=f"squad replay {run} says whether it would go on unchanged; "
                f"squad runs adopt {run} continues it under the new version",
                details={"run": run, "pinned": definition, "current": workflow.digest},
            )
        drive = Drive(Instance(run, workflow, self.world.registry))
        self.drives[run] = drive
        try:
            for event in events:
                drive.instance.apply(event)
        except SquadError:
            del self.drives[run]
            raise
        self.stuck.pop(run, None)
        self._issue(drive)
        return drive

    def accept(self, drive: Drive, events: list[Event], *, chain: bool = False) -> None:
        """Apply events that follow on the instance's last one, and carry out
        what it then asks; `chain` leaves a single next step to the caller's
        task."""
        instance = drive.instance
        there = self.drives.setdefault(instance.run_id, drive)
        if there is not drive:  # it was let go of and has been loaded again since
            self._later(self._catch_up(there), there)
            return
        for event in events:
            if event.stream_seq <= instance.state.version:
                continue
            if event.stream_seq != instance.state.version + 1:
                self._later(self._catch_up(drive), drive)
                return
            try:
                instance.apply(event)
            except SquadError as error:
                self._stick(instance.run_id, error)
                return
            for watcher in self.watchers:
                watcher(event)
        self._issue(drive, chain)

    async def _catch_up(self, drive: Drive) -> None:
        state = drive.instance.state
        events = await self.world.store.read_stream(f"run/{state.run}", after=state.version)
        self.accept(drive, events)

    def _later(self, coro: Any, drive: Drive) -> None:
        task = asyncio.get_running_loop().create_task(coro)
        name = f"{CATCH_UP}{id(task)}"
        drive.tasks[name] = task

        def finished(done: asyncio.Task[None]) -> None:
            drive.tasks.pop(name, None)
            if not done.cancelled() and done.exception() is not None:
                self._stick(drive.instance.run_id, _ours(done.exception()))

        task.add_done_callback(finished)

    def _stick(self, run: str, error: SquadError) -> None:
        """Stop driving a run whose journal and code disagree or whose log
        fails; nothing is lost."""
        drive = self.drives.pop(run, None)
        if drive is not None:
            for task in drive.tasks.values():
                task.cancel()
        self.stuck[run] = error
        for future in self._waiters.pop(run, []):
            if not future.done():
                future.set_exception(error)
        parent = run.rpartition("/")[0]
        if parent and parent in self.drives:
            self._stick(parent, error)

    # --- carrying out

    def _issue(self, drive: Drive, chain: bool = False) -> None:
        """Start every command that is not under way yet; let go of a run that
        only waits."""
        instance = drive.instance
        if instance.ended:
            self._ended(drive)
            return
        if instance.end is not None:
            if END not in drive.issued:
                drive.issued.add(END)
                self._start(drive, END, None, chain)
            return
        if instance.stopped is not None and not drive.stopped:
            self._halt(drive)
        asked, instance.asked = instance.asked, []
        fresh = dict.fromkeys(p for p in asked if p in instance.commands and p not in drive.issued)
        for position in fresh:
            drive.issued.add(position)
            command = instance.commands[position]
            self._start(drive, position, command, chain and len(fresh) == 1)

    @staticmethod
    def _halt(drive: Drive) -> None:
        """Let go of what a stopped run asked for, except effects that may have
        left; what it must still end is issued once more."""
        drive.stopped = True
        own = asyncio.current_task()
        for position, task in drive.tasks.items():
            begun = position in drive.instance.state.effects or position.startswith(CATCH_UP)
            if not begun and task is not own:
                task.cancel()
                drive.issued.discard(position)
        again = drive.instance.leaving - drive.instance.state.effects.keys()
        drive.issued -= again
        drive.instance.asked += sorted(again)

    def _start(self, drive: Drive, name: str, command: Command | None, chain: bool) -> None:
        if chain:
            drive.next = (name, command)
            return
        task = asyncio.get_running_loop().create_task(self._work(drive, name, command))
        drive.tasks[name] = task

        def finished(done: asyncio.Task[None]) -> None:
            if done.cancelled():
                for held in [name for name, task in drive.tasks.items() if task is done]:
                    del drive.tasks[held]
                return
            error = done.exception()
            if error is not None:
                self._stick(drive.instance.run_id, _ours(error))
            elif not drive.tasks:
                self._park(drive)

        task.add_done_callback(finished)

    async def _work(self, drive: Drive, name: str, command: Command | None) -> None:
        """Do one step and those that follow on it one by one, in one task."""
        task = drive.tasks[name]
        while True:
            try:
                if command is None:
                    await self._finish(drive)
                else:
                    await self.perform(drive, command)
            finally:
                if drive.tasks.get(name) is task:
                    del drive.tasks[name]
            if drive.next is None:
                return
            (name, command), drive.next = drive.next, None
            drive.tasks[name] = task

    def _park(self, drive: Drive) -> None:
        """Forget a run that only waits: its rows and timers bring it back."""
        instance = drive.instance
        run = instance.run_id
        if (
            self.drives.get(run) is drive
            and instance.end is None
            and instance.commands
            and all(self._only_waits(run, c) for c in instance.commands.values())
        ):
            del self.drives[run]
            above = self.drives.get(run.rpartition("/")[0])
            if above is not None and not above.tasks:
                self._park(above)

    def _only_waits(self, run: str, command: Command) -> bool:
        """Whether a command needs no memory; a child at work soon answers."""
        if isinstance(command, Child):
            return self.child_id(run, command) not in self.drives
        return isinstance(command, (Sleep, WaitSignal, Ask))

    async def _finish(self, drive: Drive) -> None:
        end = drive.instance.end
        assert end is not None
        await self.append(drive, (end.type, end.payload))

    async def append(
        self, drive: Drive, *told: tuple[str, dict[str, Any]], chain: bool = False
    ) -> None:
        """Append events to a run, all or none, and feed them back; `chain` when
        it ends a step."""
        state = drive.instance.state
        events = await self.world.store.append(
            [
                NewEvent(
                    stream=drive.stream,
                    type=kind,
                    payload=body,
                    actor=state.actor,
                    cause=state.last_seq,
                    correlation=state.correlation,
                )
                for kind, body in told
            ]
        )
        self.accept(drive, events, chain=chain)

    def _ended(self, drive: Drive) -> None:
        state = drive.instance.state
        run = state.run
        if self.drives.pop(run, None) is None:
            return
        outcome = Outcome(run=run, status=state.status, output=state.output, error=state.error)
        for future in self._waiters.pop(run, []):
            if not future.done():
                future.set_result(outcome)
        if state.parent:
            task = asyncio.get_running_loop().create_task(self._tell_parent(state.parent, outcome))
            self._hold(task, state.parent["run"])

    def _hold(self, task: asyncio.Task[None], run: str) -> None:
        self._background.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self._background.discard(done)
            if not done.cancelled() and done.exception() is not None:
                self._stick(run, _ours(done.exception()))

        task.add_done_callback(finished)

    async def _tell_parent(self, parent: dict[str, Any], outcome: Outcome) -> None:
        drive = await self._load(parent["run"])
        if drive is None:
            return
        command = drive.instance.commands.get(parent["position"])
        if isinstance(command, Child):
            await self.child_ended(drive, command, outcome.run, outcome)

    # --- waiting, answering, stopping

    async def _fire(self, run: str, position: str) -> None:
        try:
            drive = await self._load(run)
            if drive is not None and position in drive.instance.commands:
                await self.append(drive, ("timer.fired", {"position": position}))
        except SquadError as error:
            self._stick(run, error)

    async def wait(self, run_id: str, *, timeout_ms: int | None = None) -> Outcome:
        """Return when the run has ended; DeadlineError when it takes too
        long."""
        if run_id in self.stuck:
            raise self.stuck[run_id]
        drive = await self._load(run_id)
        if drive is None:
            return await self.outcome(run_id)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(run_id, []).append(future)
        try:
            if timeout_ms is None:
                return await future
            async with asyncio.timeout(timeout_ms / 1000):
                return await future
        except TimeoutError as error:
            raise DeadlineError(f"run {run_id} has not ended yet", code="run.waiting") from error

    async def outcome(self, run_id: str) -> Outcome:
        """Return how a run stands now."""
        events = await self.world.store.read_stream(f"run/{run_id}")
        if not events:
            raise MissingError(f"no run {run_id!r}", code="run.missing", hint="squad runs list")
        last = events[-1]
        if last.type in END_EVENTS:
            body = last.payload or {}
            return Outcome(
                run=run_id,
                status=END_EVENTS[last.type],
                output=body.get("output"),
                error=body.get("error"),
            )
        drive = self.drives.get(run_id)
        busy = drive is not None and any(
            isinstance(c, Call) for c in drive.instance.commands.values()
        )
        return Outcome(run=run_id, status="running" if busy else "waiting")

    async def signal(self, run_id: str, name: str, payload: Any, *, actor: str) -> None:
        """Send a signal to a run."""
        await self.tell(run_id, "signal.received", {"name": name, "payload": plain(payload)}, actor)

    async def cancel(self, run_id: str, *, actor: str, reason: str) -> None:
        """Ask a run to stop; it stops its children, and what was done is
        compensated."""
        await self.tell(run_id, "run.cancel_requested", {"reason": reason}, actor)

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended, nor ends
        meanwhile."""
        told = NewEvent(
            stream=f"run/{run}",
            type=kind,
            payload=body,
            actor=actor,
            correlation=run.partition("/")[0],
        )
        events: list[Event] = []
        loaded: Drive | None = None
        driving = self.lease is None or self.lease.held
        while not events:
            if driving:
                with contextlib.suppress(DefinitionChangedError, NonDeterministicError):
                    loaded = await self._load(run)
            version = loaded.instance.state.version if loaded else await self._version(run)
            try:
                events = await self.world.store.append([told], expect={told.stream: version})
            except ConflictError:
                loaded, driving = None, False  # the run has gone on: see whether it has ended
        if self.lease is None or self.lease.held:
            drive = loaded or await self._load(run)
            if drive is not None:
                self.accept(drive, events)

    async def _version(self, run: str) -> int:
        """Return how long the journal of a run is; ConflictError once it has
        ended."""
        drive = self.drives.get(run)
        known = drive.instance.state.version if drive is not None else 0
        events = await self.world.store.read_stream(f"run/{run}", after=max(0, known - 1))
        if not events:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        for event in events:
            if event.type in END_EVENTS:
                status = END_EVENTS[event.type]
                raise ConflictError(f"run {run} has already {status}", code="run.ended")
        return events[-1].stream_seq

    # --- coming back

    async def open_runs(self) -> list[str]:
        """Return the runs that have not ended, parents before children."""
        opened: dict[str, None] = {}
        after = 0
        while True:
            batch = await self.world.store.read(after=after, limit=5000, types=OPENING)
            for event in batch:
                run = event.stream.removeprefix("run/")
                if event.type == "run.started":
                    opened[run] = None
                else:
                    opened.pop(run, None)
            if not batch:
                return list(opened)
            after = batch[-1].seq

    async def recover(self) -> list[str]:
        """Continue every open run; a run that cannot go on is reported by
        `wait`."""
        await self.own()
        runs = await self.open_runs()
        for run in runs:
            try:
                await self._load(run)
            except SquadError as error:
                self._stick(run, error)
        return runs

    async def own(self) -> None:
        """Become the process that drives this store's runs, or raise
        EngineBusyError."""
        if self._poller is not None or self.lease is None:
            return
        self.lease.acquire()
        self._seen = await self.world.store.size()
        self._poller = asyncio.get_running_loop().create_task(self._poll_for_ever())

    async def _poll_for_ever(self) -> None:
        while True:
            await self.world.clock.sleep_ms(POLL_MS)
            try:
                await self.poll()
            except SquadError as error:
                for run in list(self.drives):
                    self._stick(run, error)
                return

    async def poll(self) -> int:
        """Take in what was told from outside; return how many events that
        were.

        Only this moves the place up to which it has looked: events of our own
        may stand behind another process's that nobody has seen yet.
        """
        size = await self.world.store.size()
        events = await self.world.store.read(after=self._seen, limit=5000, types=TOLD)
        for event in events:
            run = event.stream.removeprefix("run/")
            try:
                await self._hear(run, event)
            except SquadError as error:  # of one run; the others go on
                self._stick(run, error)
        self._seen = events[-1].seq if len(events) == 5000 else size
        return len(events)

    async def _hear(self, run: str, event: Event) -> None:
        drive = self.drives.get(run)
        if drive is not None:
            if event.stream_seq > drive.instance.state.version:
                await self._catch_up(drive)
        elif not event.type.startswith("effect.") or "resolved_by" in event.payload:
            await self._load(run)

    async def close(self) -> None:
        """Stop driving; open runs continue from the log next time."""
        self.timers.close()
        if self._poller is not None:
            self._poller.cancel()
        tasks = [t for d in self.drives.values() for t in d.tasks.values()] + list(self._background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.drives.clear()
        if self.lease is not None:
            self.lease.release()


def _ours(error: BaseException | None) -> SquadError:
    if isinstance(error, SquadError):
        return error
    return errors.BugError(f"{type(error).__name__}: {error}", private=repr(error))
