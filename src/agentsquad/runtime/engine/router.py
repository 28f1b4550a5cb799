"""Router: brings events to the runs in memory, in `stream_seq` order.

It knows which runs are in memory, makes one from its journal when an event
needs it, and lets go of one that cannot go on. What a run then asks for is
carried out elsewhere (`tasks`).

Where the log can give an event its place before the commit, a run goes on with
it at once (`note`). Laws: what changes the world, what was paid for and what
took time waits for the disk; so does every answer to somebody outside; what
rests on an event that did not reach the disk is forgotten in the same instant.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError, SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine import links
from agentsquad.runtime.engine.command import Call
from agentsquad.runtime.engine.contract import NonDeterministicError, Outcome, Workflow
from agentsquad.runtime.engine.decider import DEADLINE, Instance
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.drive import Drive
from agentsquad.runtime.engine.hands import standing_still
from agentsquad.runtime.engine.state import END_EVENTS, WITHDRAWN, millis
from agentsquad.runtime.engine.versions import (
    ADOPTED,
    Pin,
    Version,
    Versions,
    pins,
    versions_of,
)
from agentsquad.runtime.ledger.contract import Ledger

ENDED_MAX = 2048  # runs that ended lately, whose outcome is told without reading the log
OUTCOME_SIZE_MAX = 2048  # bytes; larger ones are read from the log
CATCH_UP = "catch-up-"  # the name of a task that is no step
HANDED, HANDED_RUN = "engine/handed", "run.handed"  # for the process that drives runs

_encode = msgspec.json.Encoder().encode

Watcher = Callable[[Event], None]


class Router:
    """The runs in memory and the way of events to them.

    `issue` is called after every change of a run, to carry out what it asks;
    `rest` when all that is known of a run has reached the disk.
    """

    def __init__(self, world: World, versions: Versions | None = None) -> None:
        self.world = world
        self.versions = versions or versions_of(world)
        self.drives: dict[str, Drive] = {}
        self.stuck: dict[str, SquadError] = {}
        self.waiters: dict[str, list[asyncio.Future[Outcome]]] = {}
        self.watchers: list[Watcher] = []
        self.issue: Callable[[Drive, bool], None] = lambda drive, chain: None
        self.rest: Callable[[Drive], None] = lambda drive: None
        self.background: set[asyncio.Task[None]] = set()
        self._store: Any = None
        self._place: Callable[..., list[Event] | None] | None = None
        self._ended: OrderedDict[str, Outcome] = OrderedDict()

    def _placing(self) -> Callable[..., list[Event] | None] | None:
        """Return how events get their place before the commit, if they can."""
        store = self.world.store
        if store is not self._store:
            # Its own, not one it passes on: a store around another sees all.
            own = hasattr(type(store), "place")
            self._store, self._place = store, getattr(store, "place", None) if own else None
        return self._place

    # --- runs into memory

    async def begin(
        self, run: str, name: str, value: Any, *, actor: str, parent: dict[str, Any] | None
    ) -> None:
        """Start a run unless it is there already; `saved` of its drive tells
        when that is certain."""
        version, started = await self._opening(run, name, value, actor, parent)
        drive = Drive(Instance(run, version.workflow, version.world.registry), version)
        fresh = {started.stream: 0}
        if parent is not None and self._begun_elsewhere(started.stream):
            await self.load(run)
            return
        try:
            if self._write(drive, [started], expect=fresh):
                return
            events = await self.world.store.append([started], expect=fresh)
        except ConflictError:
            await self.load(run)
            return
        self.drives[run] = drive
        self.accept(drive, events)

    def _begun_elsewhere(self, stream: str) -> bool:
        """Whether a child run is there already: begun by the process that drove
        before, whose last events were not known when its parent was loaded.

        Only a store of several processes must be asked; its log gives a new
        stream its place without looking.
        """
        ports = self.world.ports
        if not ports.has(Ledger) or ports.get(Ledger).tenure is None:
            return False
        [(version, _)] = self.world.store.ends([stream])  # type: ignore[attr-defined]
        return bool(version)

    async def submit(self, run: str, name: str, value: Any, *, actor: str) -> None:
        """Write that a run starts, for the process that drives runs to hear;
        nothing if it is there already."""
        _, started = await self._opening(run, name, value, actor, None)
        told = NewEvent(stream=HANDED, type=HANDED_RUN, payload={"run": run}, actor=actor)
        with contextlib.suppress(ConflictError):
            await self.world.store.append([started, told], expect={started.stream: 0})

    async def _opening(
        self, run: str, name: str, value: Any, actor: str, parent: dict[str, Any] | None
    ) -> tuple[Version, NewEvent]:
        """Return the version a new run takes, and its first event."""
        above = self.drives.get(parent["run"]) if parent else None
        version = await self.versions.newest(name, above.version if above else None)
        workflow = version.workflow
        if workflow.input is not Any:
            try:
                msgspec.convert(value, workflow.input, strict=False)
            except msgspec.ValidationError as error:
                raise InvalidError(f"input of {name}: {error}", code="run.input") from error
        return version, self._started(run, version, value, actor, parent)

    def _started(
        self, run: str, version: Version, value: Any, actor: str, parent: dict[str, Any] | None
    ) -> NewEvent:
        return NewEvent(
            stream=f"run/{run}",
            type="run.started",
            payload={
                "workflow": version.workflow.name,
                "definition": version.workflow.digest,
                "input": value,
                "registry": version.home.registry_digest,
                "policy": version.world.policy.revision,
                "parent": parent,
                "timeout_ms": (parent or {}).get("timeout_ms"),
                **_changes(version.workflow),
            },
            actor=actor,
            correlation=run.partition("/")[0],
        )

    async def load(self, run: str) -> Drive | None:
        """Return the run's drive, rebuilt from its journal; None if it has
        ended."""
        drive = self.drives.get(run)
        if drive is not None or run in self._ended:
            return drive
        events = await self.world.store.read_stream(f"run/{run}")
        if not events:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        if events[-1].type in END_EVENTS:
            return self.drives.get(run)
        ran = pins(events)
        version = await self.versions.pinned(run, ran[-1])
        drive = self.drives.get(run)  # another task may have loaded it meanwhile
        if drive is not None:
            return drive
        drive = Drive(Instance(run, version.workflow, version.world.registry), version)
        self.drives[run] = drive
        try:
            for event in events:
                drive.instance.apply(event)
        except SquadError as error:
            del self.drives[run]
            back = await self._moved_back(run, events, ran, error)
            if back is None:
                raise
            drive = self.drives.setdefault(run, back)
        self.stuck.pop(run, None)
        self.issue(drive, False)
        return drive

    async def _moved_back(
        self, run: str, events: list[Event], ran: list[Pin], error: SquadError
    ) -> Drive | None:
        """Return a run as it stood before it was moved to a version its journal
        does not fit; None if it was not, or did not fit that either.

        A run that another process drives goes on until that process hears that
        it was moved; what it does meanwhile, the other version may not ask for.
        """
        if len(ran) == 1 or not isinstance(error, NonDeterministicError):
            return None
        try:
            version = await self.versions.pinned(run, ran[-2])
        except SquadError:
            return None  # that code is not here any more
        drive = Drive(Instance(run, version.workflow, version.world.registry), version)
        why = f"it had gone on before it heard of the move: {error.message}"
        told = {"definition": ran[-2].definition, "was": ran[-1].definition, "reason": why}
        if ran[-2].manifest is not None:
            told["manifest"] = ran[-2].manifest
        try:
            for event in events:
                drive.instance.apply(event)
        except NonDeterministicError:
            return None
        expect = {drive.stream: events[-1].stream_seq}
        new = self._new(drive, [(ADOPTED, told)])
        for event in await self.world.store.append(new, expect=expect):
            drive.instance.apply(event)
        return drive

    def move(self, drive: Drive) -> None:
        """Make a run anew under the version it was moved to, as soon as no call
        of it that changes the world is under way."""
        drive.moved = True

        async def move() -> None:
            while drive.unsaved:
                await drive.saved()
            run = drive.instance.run_id
            if not drive.outward and self.drives.get(run) is drive:
                self._reload(drive)

        self.hold(move(), drive.instance.run_id)

    # --- events to runs

    async def append(
        self, drive: Drive, *told: tuple[str, dict[str, Any]], chain: bool = False
    ) -> None:
        """Append events to a run, all or none, and feed them back; `chain` when
        it ends a step."""
        if not self.note(drive, *told, chain=chain):
            events = await self.world.store.append(self._new(drive, told))
            self.accept(drive, events, chain=chain)

    def note(self, drive: Drive, *told: tuple[str, dict[str, Any]], chain: bool = False) -> bool:
        """Append events to a run and feed them back before they are on the
        disk; False where that is not allowed or not possible.

        Not while a call of the run that changes the world is under way: if
        these events came to nothing, the run would be made anew from its
        journal, and such a call cannot be.
        """
        if drive.outward:
            return False
        if len(told) == 1:
            (kind, body), state = told[0], drive.instance.state
            new = NewEvent(
                stream=drive.stream,
                type=kind,
                payload=body,
                actor=state.actor,
                cause=state.last_seq,
                correlation=state.correlation,
            )
            return self._write(drive, [new], chain=chain)
        return self._write(drive, self._new(drive, told), chain=chain)

    def withdraw(self, drive: Drive) -> None:
        """Take back what people were asked by steps that the run has left."""

        async def write() -> None:
            instance = drive.instance
            told = [(WITHDRAWN, {"position": one}) for one in instance.withdrawn]
            if told and instance.end is None and self.drives.get(drive.run) is drive:
                await self.append(drive, *told)

        self._later(write(), drive)

    async def end(self, drive: Drive, kind: str, body: dict[str, Any]) -> None:
        """End a run, unless it is told before that it was moved: what follows
        on a move is for the new version to say."""
        state = drive.instance.state
        expect = {drive.stream: state.version}
        if not drive.outward:
            with contextlib.suppress(ConflictError):  # it is being told something
                if self._write(drive, self._new(drive, [(kind, body)]), expect=expect):
                    return
        while not (drive.instance.ended or drive.moved) and self.drives.get(drive.run) is drive:
            await drive.saved()
            new = self._new(drive, [(kind, body)])
            try:
                events = await self.world.store.append(new, expect={drive.stream: state.version})
            except ConflictError:
                await self.catch_up(drive)
                continue
            self.accept(drive, events)
            return

    async def carry_on(self, drive: Drive) -> None:
        """End a run and begin the one that goes on for it, in one append, with
        all that it was told until then and did not take."""
        instance = drive.instance
        end, state = instance.end, instance.state
        assert end is not None
        following = end.payload["successor"]
        own = instance.commands.get(DEADLINE)
        parent = links.above(state, getattr(own, "due_ms", None))
        while not instance.ended and self.drives.get(state.run) is drive:
            await drive.saved()
            version, started = await self._opening(
                following, state.workflow, end.payload["input"], state.actor, parent
            )
            body = {**started.payload, "continues": state.run}
            started = msgspec.structs.replace(started, payload=body)
            ended = self._new(drive, [(end.type, end.payload)])
            told = links.carried(state, following)
            fresh = {drive.stream: state.version, started.stream: 0}
            try:
                events = await self.world.store.append([*ended, started, *told], expect=fresh)
            except ConflictError:
                await self.catch_up(drive)  # it was told something meanwhile
                continue
            next_ = Drive(Instance(following, version.workflow, version.world.registry), version)
            self.drives[following] = next_
            self.accept(drive, events[:1])
            self.accept(next_, events[1:])

    @staticmethod
    def _new(drive: Drive, told: Iterable[tuple[str, dict[str, Any]]]) -> list[NewEvent]:
        state = drive.instance.state
        return [
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

    def _write(
        self,
        drive: Drive,
        new: list[NewEvent],
        *,
        expect: dict[str, int] | None = None,
        chain: bool = False,
    ) -> bool:
        """Give events their place and feed them back; False where that is not
        possible."""
        place = self._placing()
        if place is None:
            return False
        note = Note(self, drive)
        placed = place(new, holder=note, expect=expect)
        if placed is None:
            return False
        note.events = placed
        drive.note()
        self.accept(drive, placed, chain=chain)
        return True

    def settled(self, drive: Drive, error: SquadError | None, *, stood: bool) -> None:
        """Hear what the commit made of events of a run; not `stood`: the run
        went on from another place or time than is recorded."""
        run = drive.run
        if (error is not None or not stood) and self.drives.get(run) is drive:
            if isinstance(error, ConflictError) or not (stood or drive.instance.ended):
                self._reload(drive)
            elif error is not None:
                self.stick(run, error)
        drive.settle(error)
        if not drive.unsaved and self.drives.get(run) is drive:
            self.rest(drive)

    def _reload(self, drive: Drive) -> None:
        """Make a run anew from its journal; reads under way are made again."""
        run = drive.instance.run_id
        del self.drives[run]
        for task in drive.tasks.values():
            task.cancel()

        self.hold(self._load(run), run)

    async def _load(self, run: str) -> None:
        with contextlib.suppress(MissingError):  # a child whose parent is made anew
            await self.load(run)

    def hold(self, coro: Coroutine[Any, Any, None], run: str) -> None:
        """Do something for a run that is no step of it; the run sticks if it
        fails."""
        task = asyncio.get_running_loop().create_task(coro)
        self.background.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self.background.discard(done)
            if not done.cancelled() and done.exception() is not None:
                self.stick(run, ours(done.exception()))

        task.add_done_callback(finished)

    def accept(self, drive: Drive, events: list[Event], *, chain: bool = False) -> None:
        """Apply events that follow on the instance's last one, and carry out
        what it then asks; `chain` leaves a single next step to the caller's
        task."""
        instance, state = drive.instance, drive.instance.state
        there = self.drives.get(drive.run)
        if there is None and not state.version:
            self.drives[drive.run] = drive
        elif there is None:  # it was let go of; it may even have been loaded since, and ended
            self.hold(self._load(drive.run), drive.run)
            return
        elif there is not drive:  # it was let go of and has been loaded again since
            self._later(self.catch_up(there), there)
            return
        for event in events:
            if event.stream_seq != state.version + 1:
                if event.stream_seq <= state.version:
                    continue
                self._later(self.catch_up(drive), drive)
                return
            try:
                instance.apply(event)
            except SquadError as error:
                self.stick(drive.run, error)
                return
            for watcher in self.watchers:
                watcher(event)
            moves = event.type == ADOPTED and drive.version is not None
            if moves and not drive.version.fits(event.payload):  # type: ignore[union-attr]
                self.move(drive)
        self.issue(drive, chain)

    async def catch_up(self, drive: Drive) -> None:
        """Feed a run what its journal holds beyond what it knows."""
        await drive.saved()
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

    def close(self, outcome: Outcome) -> None:
        """Let go of a run that has ended, and answer those who wait for it."""
        self.drives.pop(outcome.run, None)
        if outcome.status == "continued":  # who waits for it waits for what goes on
            waiters = self.waiters.pop(outcome.run, [])
            if waiters:
                self.waiters.setdefault(links.successor(outcome.run), []).extend(waiters)
            return
        for future in self.waiters.pop(outcome.run, []):
            if not future.done():
                future.set_result(outcome)
        if len(_encode(outcome)) <= OUTCOME_SIZE_MAX:
            self._ended[outcome.run] = outcome
            if len(self._ended) > ENDED_MAX:
                self._ended.popitem(last=False)

    async def outcome(self, run: str) -> Outcome:
        """Return how a run stands now, or the one that goes on for it."""
        if run in self._ended:
            return self._ended[run]
        events = await self.world.store.read_stream(f"run/{run}")
        if not events:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        last = events[-1]
        if last.type == links.CONTINUED:
            return await self.outcome(links.successor(run))
        if last.type in END_EVENTS:
            body = last.payload or {}
            return Outcome(
                run=run,
                status=END_EVENTS[last.type],
                output=body.get("output"),
                error=body.get("error"),
            )
        drive = self.drives.get(run)
        still = standing_still(events)
        busy = drive is not None and any(
            isinstance(c, Call) and p not in still for p, c in drive.instance.commands.items()
        )
        return Outcome(run=run, status="running" if busy else "incident" if still else "waiting")


class Note:
    """Events of a run that are known before they are on the disk
    (`runtime.ledger.placing.Holder`)."""

    __slots__ = ("_drive", "_router", "_stood", "events")

    def __init__(self, router: Router, drive: Drive) -> None:
        self._router = router
        self._drive = drive
        self._stood = True
        self.events: list[Event] = []

    def stands(self, before: list[Event], now: list[Event]) -> bool:
        """Whether what the run did since rests on nothing that is otherwise
        now: neither what came before, nor the time if it looked at it."""
        instance = self._drive.instance
        state = instance.state
        first = before[0]
        self._stood = now[0].stream_seq == first.stream_seq and (
            instance.looked < first.stream_seq or millis(before[-1].at) == millis(now[-1].at)
        )
        if self._stood:
            state.now_ms = max(state.now_ms, millis(now[-1].at))
            if state.last_seq == before[-1].seq:
                state.last_seq = now[-1].seq
        return self._stood

    def settled(self, error: SquadError | None, events: list[Event]) -> None:
        """Pass on how it ended."""
        if error is None and self._stood and self._drive.settled_one():
            return
        self._router.settled(self._drive, error, stood=self._stood)


def _changes(workflow: Workflow) -> dict[str, list[str]]:
    """Return what a run that begins now knows of changes of its workflow."""
    known = [*workflow.changes, *(c for c in workflow.retired if c not in workflow.changes)]
    return {"changes": known} if known else {}


def ours(error: BaseException | None) -> SquadError:
    """Return an error as one of ours."""
    if isinstance(error, SquadError):
        return error
    return errors.BugError(f"{type(error).__name__}: {error}", private=repr(error))
