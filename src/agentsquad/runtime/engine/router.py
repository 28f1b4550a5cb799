"""Router: brings events to the runs in memory, in `stream_seq` order.

It knows which runs are in memory, makes one from its journal when an event
needs it, and lets go of one that cannot go on. What a run then asks for is
carried out elsewhere (`tasks`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError, SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine.command import Call
from agentsquad.runtime.engine.contract import DefinitionChangedError, Outcome, Workflow
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.state import END_EVENTS

CATCH_UP = "catch-up-"  # the name of a task that is no step

Watcher = Callable[[Event], None]


class Router:
    """The runs in memory and the way of events to them.

    `issue` is called after every change of a run, to carry out what it asks.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.drives: dict[str, Drive] = {}
        self.stuck: dict[str, SquadError] = {}
        self.waiters: dict[str, list[asyncio.Future[Outcome]]] = {}
        self.watchers: list[Watcher] = []
        self.issue: Callable[[Drive, bool], None] = lambda drive, chain: None
        self._registry_digest = world.registry.digest

    # --- runs into memory

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
        started = self._started(run, workflow, value, actor, parent)
        try:
            events = await self.world.store.append([started], expect={started.stream: 0})
        except ConflictError:
            await self.load(run)
            return
        drive = Drive(Instance(run, workflow, self.world.registry))
        self.drives[run] = drive
        self.accept(drive, events)

    def _started(
        self, run: str, workflow: Workflow, value: Any, actor: str, parent: dict[str, Any] | None
    ) -> NewEvent:
        return NewEvent(
            stream=f"run/{run}",
            type="run.started",
            payload={
                "workflow": workflow.name,
                "definition": workflow.digest,
                "input": value,
                "registry": self._registry_digest,
                "policy": self.world.policy.revision,
                "parent": parent,
                "timeout_ms": (parent or {}).get("timeout_ms"),
            },
            actor=actor,
            correlation=run.partition("/")[0],
        )

    async def load(self, run: str) -> Drive | None:
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
        drive = Drive(Instance(run, self._definition(run, events), self.world.registry))
        self.drives[run] = drive
        try:
            for event in events:
                drive.instance.apply(event)
        except SquadError:
            del self.drives[run]
            raise
        self.stuck.pop(run, None)
        self.issue(drive, False)
        return drive

    def _definition(self, run: str, events: list[Event]) -> Workflow:
        """Return the workflow a journal was written under.

        DefinitionChangedError when it is another one now.
        """
        started = events[0].payload
        workflow: Workflow = self.world.registry.workflow(started["workflow"])
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
        return workflow

    # --- events to runs

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

    def accept(self, drive: Drive, events: list[Event], *, chain: bool = False) -> None:
        """Apply events that follow on the instance's last one, and carry out
        what it then asks; `chain` leaves a single next step to the caller's
        task."""
        instance = drive.instance
        there = self.drives.setdefault(instance.run_id, drive)
        if there is not drive:  # it was let go of and has been loaded again since
            self._later(self.catch_up(there), there)
            return
        for event in events:
            if event.stream_seq <= instance.state.version:
                continue
            if event.stream_seq != instance.state.version + 1:
                self._later(self.catch_up(drive), drive)
                return
            try:
                instance.apply(event)
            except SquadError as error:
                self.stick(instance.run_id, error)
                return
            for watcher in self.watchers:
                watcher(event)
        self.issue(drive, chain)

    async def catch_up(self, drive: Drive) -> None:
        """Feed a run what its journal holds beyond what it knows."""
        state = drive.instance.state
        events = await self.world.store.read_stream(f"run/{state.run}", after=state.version)
        self.accept(drive, events)

    def _later(self, coro: Coroutine[Any, Any, None], drive: Drive) -> None:
        task = asyncio.get_running_loop().create_task(coro)
        name = f"{CATCH_UP}{id(task)}"
        drive.tasks[name] = task

        def finished(done: asyncio.Task[None]) -> None:
            drive.tasks.pop(name, None)
            if not done.cancelled() and done.exception() is not None:
                self.stick(drive.instance.run_id, ours(done.exception()))

        task.add_done_callback(finished)

    # --- runs out of memory

    def stick(self, run: str, error: SquadError) -> None:
        """Stop driving a run whose journal and code disagree or whose log
        fails; nothing is lost."""
        drive = self.drives.pop(run, None)
        if drive is not None:
            for task in drive.tasks.values():
                task.cancel()
        self.stuck[run] = error
        for future in self.waiters.pop(run, []):
            if not future.done():
                future.set_exception(error)
        parent = run.rpartition("/")[0]
        if parent and parent in self.drives:
            self.stick(parent, error)

    async def outcome(self, run: str) -> Outcome:
        """Return how a run stands now."""
        events = await self.world.store.read_stream(f"run/{run}")
        if not events:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        last = events[-1]
        if last.type in END_EVENTS:
            body = last.payload or {}
            return Outcome(
                run=run,
                status=END_EVENTS[last.type],
                output=body.get("output"),
                error=body.get("error"),
            )
        drive = self.drives.get(run)
        busy = drive is not None and any(
            isinstance(c, Call) for c in drive.instance.commands.values()
        )
        return Outcome(run=run, status="running" if busy else "waiting")


def ours(error: BaseException | None) -> SquadError:
    """Return an error as one of ours."""
    if isinstance(error, SquadError):
        return error
    return errors.BugError(f"{type(error).__name__}: {error}", private=repr(error))
