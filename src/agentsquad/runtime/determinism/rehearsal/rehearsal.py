"""Rehearsal: a workflow played to its end in a scratch world.

The engine, the door with all its interceptors, the log and the policy are the
real ones; time is virtual and jumps to whatever is due next; nothing outside is
touched. The same arguments always give the same story.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.errors import (
    BugError,
    ConflictError,
    DeniedError,
    InvalidError,
    MissingError,
    SquadError,
)
from agentsquad.kernel.event import Event
from agentsquad.kernel.pointer import shown
from agentsquad.kernel.ports import BlobStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism.past import Past, load_row
from agentsquad.runtime.determinism.rehearsal.clock import START_MS, idle
from agentsquad.runtime.determinism.rehearsal.counterparty import Counterparty
from agentsquad.runtime.determinism.rehearsal.cut import Cut, Cutter
from agentsquad.runtime.determinism.rehearsal.fault import Fault, Faults
from agentsquad.runtime.determinism.rehearsal.guard import Guard
from agentsquad.runtime.determinism.rehearsal.hands import REASON, wish_of
from agentsquad.runtime.determinism.rehearsal.outside import Manner, Outside, Respond
from agentsquad.runtime.determinism.rehearsal.people import Decide, People
from agentsquad.runtime.determinism.rehearsal.recorded import Recorded
from agentsquad.runtime.determinism.rehearsal.room import Lent, Room
from agentsquad.runtime.determinism.rehearsal.sample import Sample
from agentsquad.runtime.determinism.rehearsal.scratch import Life
from agentsquad.runtime.determinism.rehearsal.story import (
    Story,
    effects_of,
    status_of,
    steps_of,
)
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import Manifests
from agentsquad.runtime.engine.decider import Instance, plain
from agentsquad.runtime.engine.door import Step, World
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.links import CONTINUED, successor
from agentsquad.runtime.engine.questions import Open, inbox_item
from agentsquad.runtime.engine.resolving import resolution
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.engine.state import RESOLVING, millis

OPERATOR, SECOND = "person:rehearsal", "person:rehearsal-too"
ROW_MAX = 4  # runs that are played of a row that goes on as new and has no end
TURNS_MAX = 100_000  # deliveries and jumps before a rehearsal is given up


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a rehearsal may be told besides its faults.

    `people` is who answers: "recorded" (as recorded, else yes), "rule" (as the
    workflow's own rule says, else yes), "approve", "reject", "twice" (yes, told
    twice), or a function from the question to what is said (None: nobody
    answers). `reads` names reads that are done for real when nothing is
    recorded, `fresh` calls whose record is not used. `respond` answers calls in
    the place of the world: a value, an error it raises, or NotImplemented.
    `signals` maps names to what is sent when a run waits for one; a name that
    is neither there nor recorded is sent null, unless its wait has a time
    limit. `ports` replaces adapters, `blobs` lends an earlier rehearsal's;
    `cut` begins where an earlier rehearsal is cut off, as after a crash;
    `check` replays the journal at the end, `light` without computing pure
    steps again.
    """

    people: str | Decide = "rule"
    reads: Collection[str] = ()
    fresh: Collection[str] = ()
    respond: Respond | None = None
    signals: Mapping[str, Any] = {}
    ports: Mapping[Any, Any] = {}
    blobs: BlobStore | None = None
    cut: Cut | None = None
    check: bool = True
    light: bool = False


class Rehearsal:
    """One rehearsal; `play` it once."""

    def __init__(
        self,
        world: World,
        *,
        seed: str = "1",
        past: Past | None = None,
        recorded: Recorded | None = None,
        faults: Sequence[Fault] = (),
        options: Options | None = None,
    ) -> None:
        self.options = options or Options()
        cut = self.options.cut
        self.past = past
        self.recorded = recorded or Recorded(past)
        self.life = Life(Faults(tuple(faults)))
        start = START_MS if past is None else millis(past.events[0].at)
        if cut is not None and cut.now_ms is not None:
            start = cut.now_ms
        self._cut = cut
        self.room = Room(
            world,
            seed=seed if cut is None else f"{seed}/after {len(cut.rows)}",
            start_ms=start,
            life=self.life,
            lent=Lent(ports=self.options.ports, blobs=self.options.blobs, cut=cut),
        )
        self.counterparty = Counterparty() if cut is None else cut.counterparty()
        manner = Manner(
            reads=self.options.reads, fresh=self.options.fresh, respond=self.options.respond
        )
        self.outside = Outside(self.counterparty, self.recorded, Sample(seed), self.life, manner)
        self.guard = Guard()
        self._seed = seed
        self._repeated: list[Event] = []  # events delivered once more on purpose
        self._answered: set[tuple[str, str, int]] = set()
        self._mail = {run: list(events) for run, events in self.recorded.signals.items()}
        self._updates = {run: list(told) for run, told in self.recorded.updates.items()}
        self._repeats: list[Event] = []
        self.engine: EmbeddedEngine = self.room.enter(self.outside)
        self.run = ""

    def cutter(self, story: Story) -> Cutter:
        """Return what cuts this rehearsal after any of its events."""
        ledger = self.room.ledger
        return Cutter(story, ledger.store.volume, ledger.keyring, self.counterparty)

    async def past_of(self, story: Story) -> Past:
        """Return the past a rehearsal left, for rehearsals after it."""
        found = await load_row(self.room.log, story.run, ROW_MAX - 1)
        assert found is not None, "the rehearsal was not played here"
        return found

    async def play(self, workflow: str, value: Any, *, run: str | None = None) -> Story:
        """Start the workflow and be its world until nothing more happens."""
        registry = self.room.lender.registry
        auto = registry.workflow(workflow).auto
        self.people = People(self.options.people, self.recorded, auto)
        if run is None:
            run = self.past.run if self.past else keyed_id(workflow, f"rehearsal/{self._seed}")
        self.run = run
        for _ in range(ROW_MAX):
            run = successor(run)
        self.life.beyond = f"run/{run}"
        actor = self.past.events[0].actor if self.past else "service:squad"
        value = plain(value)
        with self.guard.watching():
            try:
                return await self._play(workflow, value, actor)
            finally:
                await self.engine.close()

    async def _play(self, workflow: str, value: Any, actor: str) -> Story:
        self._watch(await self.room.look())
        if self._cut is not None and len(self._row()) <= ROW_MAX:
            await self._survive(self.engine.recover)
        for _ in range(TURNS_MAX):
            if self.run not in self.room.waiting.started:
                await self._survive(
                    lambda: self.engine.router.begin(
                        self.run, workflow, value, actor=actor, parent=None
                    )
                )
            await self._settle()
            row = self._row()
            if len(row) > ROW_MAX:
                return await self._tell()
            if self.life.dead.is_set():
                await self._rise()
                continue
            if row[-1] in self.engine.stuck:
                return await self._tell("stuck", self.engine.stuck[row[-1]])
            if self._repeats:
                await self._survive(partial(self._repeat, self._repeats.pop(0)))
                continue
            if row[-1] in self.room.waiting.ended:
                return await self._tell()
            if await self._deliver() or self._jump():
                continue
            return await self._tell("waiting")
        return await self._tell("waiting")

    def _row(self) -> list[str]:
        """Return the run and those that went on for it as new, in order."""
        row, ended = [self.run], self.room.waiting.ended
        while (end := ended.get(row[-1])) is not None and end.type == CONTINUED:
            row.append(successor(row[-1]))
        return row

    # --- the world around the run

    async def _deliver(self) -> bool:
        """Do the next thing somebody outside would do; False when there is
        none."""
        waiting = self.room.waiting
        for place, asked in list(waiting.questions.items()):
            mark = (*place, asked.stream_seq)
            if mark in self._answered:
                continue
            self._answered.add(mark)
            done = await self._survive(partial(self._answer, asked))
            if done is None:
                self._answered.discard(mark)
            if done is not False:
                return True
        for place, wait in list(waiting.signals.items()):
            found = self._payload(place[0], wait)
            if found is not None:
                await self._survive(partial(self._signal, place[0], wait, found[0]))
                return True
        if await self._update() or await self._by_two():
            return True
        if waiting.unknown and not self._sleeping():
            place, event = next(iter(waiting.unknown.items()))
            await self._survive(partial(self._resolve, place, event))
            return True
        return False

    async def _answer(self, asked: Event) -> bool:
        return await self.people.answer(self.engine, asked)

    async def _update(self) -> bool:
        """Update a run as it was updated then, as soon as it takes it."""
        for run, told in self._updates.items():
            if run not in self.room.waiting.started or run in self.room.waiting.ended:
                continue
            for event in told:
                taking = partial(self._take, run, event)
                if await self._survive(taking) is not False:
                    told.remove(event)
                    return True
        return False

    async def _take(self, run: str, event: Event) -> bool:
        body = event.payload
        taking = {"actor": event.actor, "key": body["key"], "timeout_ms": 0}
        with contextlib.suppress(ConflictError):
            try:
                await self.engine.update(run, body["name"], body["input"], **taking)
            except (InvalidError, MissingError):
                return False  # it does not take it yet
        return True

    async def _by_two(self) -> bool:
        """Do by hand what somebody would about a step that stands still, as it
        was done then, else try it again once and then give it up; two people
        are needed for it."""
        waiting = self.room.waiting
        for asked in list(waiting.wishes.values()):
            mark = (asked.stream, asked.payload["position"], asked.stream_seq)
            if mark in self._answered:
                continue
            if await self._survive(partial(self._approve, asked)):
                self._answered.add(mark)
            return True
        for place in list(waiting.still):
            if any(run == place[0] for run, _ in waiting.wishes):
                continue
            await self._survive(partial(self._intervene, *place))
            return True
        return False

    async def _approve(self, asked: Event) -> bool:
        item = inbox_item(Open(asked=asked))
        with contextlib.suppress(ConflictError, MissingError, DeniedError):  # it has gone on
            await self.engine.answer(item.id, approve=True, approver=SECOND, reason=REASON)
        return True

    async def _intervene(self, run: str, position: str) -> bool:
        done = self.room.waiting.moved.get((run, position), 0)
        then = self.recorded.hands.get((run, position), ())
        wish = wish_of(run, position, then, done)
        with contextlib.suppress(ConflictError, MissingError):
            await self.engine.intervene(wish, actor=OPERATOR)
        return True

    def _payload(self, run: str, wait: Event) -> tuple[Any] | None:
        """Return (payload,) of what is sent to a wait; None when nothing is."""
        name = wait.payload["name"]
        for event in self._mail.get(run, ()):
            if event.payload["name"] == name:
                return (event.payload.get("payload"),)
        if name in self.options.signals:
            return (self.options.signals[name],)
        return (None,) if wait.payload.get("due_ms") is None else None

    async def _signal(self, run: str, wait: Event, payload: Any) -> bool:
        with contextlib.suppress(ConflictError):  # the run has ended meanwhile
            await self.engine.signal(run, wait.payload["name"], payload, actor=OPERATOR)
        return True

    async def _resolve(self, place: tuple[str, str], event: Event) -> bool:
        """Find out, as a person would, what became of an effect, make good what
        never happened, and say so."""
        run, position = place
        key = event.payload["key"]
        journal = await self.room.log.read_stream(f"run/{run}")
        found = self.counterparty.find(key)
        came: dict[str, Any]
        if found["found"]:
            came = {"output": found["output"]}
        else:
            try:
                came = {"output": await self._by_hand(run, position, key, journal)}
            except SquadError as error:
                came = {"error": errors.record(error)}
        reason = "the other side was asked"
        told = resolution(journal, position, by=OPERATOR, reason=reason, came=came)
        with contextlib.suppress(ConflictError):
            await self.engine.tell_all(run, told, OPERATOR)
        return True

    async def _by_hand(self, run: str, position: str, key: str, journal: Sequence[Event]) -> Any:
        plans = [
            event.payload
            for event in journal
            if event.type == "effect.planned" and event.payload["key"] == key
        ]
        if not plans:
            raise BugError(f"effect {key} was never planned")
        action = self.room.lender.registry.action(plans[0]["action"])
        step = Step(action, plans[0]["input"], run=run, position=position)
        step.key = key
        return await self.outside.carry_out(self.engine.world, step)

    def _sleeping(self) -> bool:
        """Whether anything but the engine's timers waits for time to pass."""
        return len(self.room.clock.due()) > (self.engine.timers.next_due_ms is not None)

    def _jump(self) -> bool:
        """Move time on to whatever is due next; False when nothing is."""
        due = self.room.clock.due()
        if not due:
            return False
        timer = self.engine.timers.next_due_ms
        # The timers wake now and then to look at the clock; nobody else does.
        self.room.clock.jump(timer if timer is not None and len(due) == 1 else min(due))
        return True

    # --- repeated deliveries

    def _watch(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.type == "signal.received":
                self._sent(event)
            if event.seq in self.life.faults.events:
                self._repeats.append(event)

    def _sent(self, event: Event) -> None:
        post = self._mail.get(event.stream[4:], [])
        for one in post:
            if one.payload["name"] == event.payload["name"]:
                post.remove(one)
                return

    async def _repeat(self, event: Event) -> bool:
        """Deliver once more what an event tells of."""
        run, body = event.stream[4:], event.payload
        self._repeated.append(event)
        with contextlib.suppress(ConflictError, MissingError):  # the run has ended
            if event.type == "run.started":
                await self.engine.router.begin(
                    run, body["workflow"], body["input"], actor=event.actor, parent=body["parent"]
                )
            elif event.type == "signal.received":
                await self.engine.signal(run, body["name"], body.get("payload"), actor=event.actor)
            elif event.type in RESOLVING:
                await self.engine.tell(run, event.type, dict(body), event.actor)
        return True

    def _again(self, events: Sequence[Event]) -> frozenset[int]:
        """Return where events stand that are there again on purpose; looked for
        at the end, since a process may die of taking one."""
        return frozenset(
            later.seq
            for first in self._repeated
            for later in events
            if later.seq > first.seq
            and (later.stream, later.type) == (first.stream, first.type)
            and later.payload == first.payload
        )

    # --- living and dying

    async def _settle(self) -> None:
        """Return when nothing moves any more, in this loop or outside of it."""
        while True:
            await idle()
            self._watch(await self.room.look())
            if not self.outside.busy or self.life.dead.is_set():
                return
            self.outside.moved.clear()
            await self.outside.moved.wait()

    async def _survive(self, doing: Callable[[], Any]) -> Any:
        """Do something with the engine; None if it died of it."""
        task = asyncio.ensure_future(doing())
        while not task.done():
            await self._settle()
            if self.life.dead.is_set() or task.done():
                break
            if not self._jump():
                break
        if task.done() and not task.cancelled():
            return await task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None

    async def _rise(self) -> None:
        """Replace a dead engine; it may die again while it recovers."""
        await self.engine.close()
        self.life.again()
        self.outside.busy = 0
        self.engine = self.room.enter(self.outside)
        await self._survive(self.engine.recover)

    # --- the end

    async def _tell(self, status: str | None = None, error: SquadError | None = None) -> Story:
        events = tuple(self.room.events)
        output, failure = None, None if error is None else errors.record(error)
        if status is None:
            last = self._row()[:ROW_MAX][-1]
            status, output, failure = status_of(self.room.waiting.ended, last)
        return Story(
            run=self.run,
            status=status,
            output=output,
            error=failure,
            resolved=steps_of(events),
            effects=effects_of(events, self.counterparty, self._again(events)),
            events=events,
            verdict=await self._verdict() if self.options.check else None,
            appends=tuple(self.life.boundaries),
            calls=tuple(self.outside.called),
            crashes=self.life.lives - (self._cut is None),
            whole=frozenset(self.life.whole),
            touched=tuple(self.guard.touched),
            made_up=tuple(sorted(self.outside.made_up)),
            by_hand=tuple(sorted(self.outside.by_hand)),
        )

    async def _verdict(self) -> str:
        room = self.room
        if self.options.light:
            return drives(room.events, room.lender.registry)
        verdict = "identical"
        for run in self._row()[:ROW_MAX]:
            found = await replay(room.log, room.lender.registry, run, room.blobs)
            if found.exit_code:
                where = f" at event {found.event}, field {found.field}" if found.event else ""
                return f"{found.verdict}{where}: {shown(found.reason)}"
            verdict = found.verdict if verdict == "identical" else verdict
        return verdict


def drives(events: Sequence[Event], registry: Registry) -> str:
    """Return "identical" if the code still asks for what its journals hold,
    else what it asks for instead."""
    instances: dict[str, Instance] = {}
    for event in events:
        if not event.stream.startswith("run/"):
            continue
        run = event.stream[4:]
        if event.type == "run.started":
            workflow = registry.workflow(event.payload["workflow"])
            instances[run] = Instance(run, workflow, registry)
        try:
            instances[run].apply(event)
        except SquadError as error:
            return f"diverged at event {event.seq}: {error.message}"
    return "identical"


async def resolve(world: World, name: str, value: Any) -> tuple[str, Any]:
    """Return (workflow, input) for a name: installed as code, or applied as a
    manifest."""
    if name not in world.registry.workflows and world.ports.has(Manifests):
        found = await world.ports.get(Manifests).wrap(name, value)
        if found is not None:
            return found[0], found[1]
    return world.registry.workflow(name).name, value
