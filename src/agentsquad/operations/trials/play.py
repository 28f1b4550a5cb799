"""Playing one scenario: a rehearsal with this world around it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.actor import SYSTEM
from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import BlobStore
from agentsquad.operations.trials.contract import Draw, Trial
from agentsquad.operations.trials.scenario import Scenario, turning
from agentsquad.operations.trials.tale import Tale
from agentsquad.operations.trials.value import Values, schema_of
from agentsquad.runtime.determinism.rehearsal import Options, Rehearsal, Said
from agentsquad.runtime.determinism.rehearsal.people import NOBODY
from agentsquad.runtime.engine.contract import InboxItem
from agentsquad.runtime.engine.decider import plain
from agentsquad.runtime.engine.door import Step, World
from agentsquad.runtime.engine.runs import question

CANCELLER = "person:trial"


class Lent:
    """The Context of an effect that is carried out on a trial's adapters."""

    run_id: str | None = None

    def __init__(self, step: Step, ports: Mapping[Any, Any], blobs: Any, now_ms: int) -> None:
        self.actor = step.actor or SYSTEM
        self.idempotency_key = step.idempotency_key
        self._ports = ports
        self._blobs = blobs
        self._now = now_ms

    def now_ms(self) -> int:
        """Return the rehearsal's time."""
        return self._now

    def port(self, role: Any) -> Any:
        """Return an adapter of the trial."""
        if role is BlobStore:
            return self._blobs
        if role not in self._ports:
            raise InvalidError(
                f"the trial has no {getattr(role, '__name__', role)}",
                code="trials.port",
                hint="return it from Trial.ports",
            )
        return self._ports[role]

    def meter(self, **usage: Any) -> None:
        """Nothing is spent."""

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """Nobody watches."""


class WatchedRehearsal(Rehearsal):
    """A rehearsal that tells of every event it sees."""

    def __init__(
        self, world: World, saw: Callable[[Sequence[Event]], None], **options: Any
    ) -> None:
        self._saw = saw
        super().__init__(world, **options)

    def _watch(self, events: Sequence[Event]) -> None:
        super()._watch(events)
        self._saw(events)


class Play:
    """One scenario while it is played."""

    def __init__(self, world: World, trial: Trial, scenario: Scenario, started: str) -> None:
        self.world = world
        self.trial = trial
        self.scenario = scenario
        self.workflow = started
        self.silent = 0
        self.asked = 0  # effects asked for so far
        self.seen = 0
        self.cancelling: asyncio.Task[None] | None = None
        self.adapters = {} if trial.ports is None else dict(trial.ports(scenario.world))
        self._answers: Draw = turning(scenario.answers)
        self._refusals = {one.at: one.error for one in scenario.refusals}
        self._known: dict[str, Any] = {}
        definition = world.registry.workflow(started)
        self.rehearsal = WatchedRehearsal(
            world,
            self.watch,
            faults=scenario.faults,
            options=Options(
                people=self.people,
                reads=(*definition.safe_reads, *trial.reads),
                respond=self.respond,
                signals=_Signals(scenario.signals),
                ports=self.adapters,
            ),
        )
        self._auto = definition.auto

    async def tell(self, value: Any) -> Tale:
        """Play to the end and return the tale."""
        story, refused = None, None
        before = asyncio.all_tasks()
        try:
            story = await self.rehearsal.play(self.workflow, value)
        except SquadError as error:
            refused = error
        finally:
            await _ended(asyncio.all_tasks() - before)
        return Tale(
            self.scenario,
            story,
            self.world.registry,
            refused=refused,
            silent=self.silent,
            adapters=self.adapters,
        )

    # --- the world

    def people(self, item: InboxItem) -> Said | None:
        """Answer a question; the same question is always answered alike."""
        said = self._said(item)
        if said == "nobody":
            self.silent += 1
            return None
        if said == "self":
            return Said(approve=True, approver=item.requester, reason="it is my own")
        return Said(approve=said == "approve", approver=self._approver(item))

    def _said(self, item: InboxItem) -> str:
        people = self.scenario.people
        drawn = hashlib.sha256(f"{item.action}/{item.position}".encode()).digest()[0]
        return people[drawn % len(people)]

    def _approver(self, item: InboxItem) -> str:
        if self._auto is not None:
            found = self.world.policy.query(self._auto, question(item))
            if found and found.get("approver"):
                return str(found["approver"])
        return NOBODY

    def respond(self, step: Step) -> Any:
        """Answer a call in the place of the world."""
        spec = step.action.spec
        if spec.effect.outward:
            self.asked += 1
            refused = self._refusals.get(self.asked)
            if refused is not None:
                raise errors.restore(
                    {
                        "class": refused,
                        "code": "trial.other_side",
                        "message": f"the other side refuses effect {self.asked}",
                    }
                )
            if spec.name in self.trial.effects:
                return self.carried_out(step)
            if spec.preview is not None:
                return NotImplemented
        return self.made_up(step)

    def carried_out(self, step: Step) -> Any:
        """Carry an effect out on the trial's adapters."""
        lent = Lent(
            step, self.adapters, self.rehearsal.room.blobs, self.rehearsal.room.clock.now_ms()
        )
        shape = step.action.spec.input
        value = step.input if shape is Any else msgspec.convert(step.input, shape, strict=False)
        if not step.action.is_async:
            return step.action.fn(lent, value)
        return _at_once(step.action.fn(lent, value))

    def made_up(self, step: Step) -> Any:
        """Draw an answer that fits the action's output."""
        shape = step.action.spec.output
        if shape is None or shape is type(None):
            return None
        drawn = Values(self._answers, schema_of(shape)).fit()
        try:
            return drawn if shape is Any else plain(msgspec.convert(drawn, shape, strict=False))
        except msgspec.ValidationError:
            return NotImplemented  # a law the schema does not tell: the rehearsal makes one up

    def watch(self, events: Sequence[Event]) -> None:
        """Ask the run to stop once so many events were seen."""
        self.seen += sum(event.stream.startswith("run/") for event in events)
        at = self.scenario.cancel
        if self.cancelling is None and at is not None and self.seen >= at:
            self.cancelling = asyncio.get_running_loop().create_task(self._cancel())

    async def _cancel(self) -> None:
        with contextlib.suppress(SquadError):  # it has ended meanwhile
            await self.rehearsal.engine.cancel(
                self.rehearsal.run, actor=CANCELLER, reason="a trial stops it"
            )


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    """End what dead processes were at, and a stop that came too late."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)


class _Signals(Mapping[str, Any]):
    """What each signal carries: drawn, the same for the same name."""

    def __init__(self, payloads: Sequence[Any]) -> None:
        self._payloads = payloads

    def __getitem__(self, name: str) -> Any:
        if not self._payloads:
            raise KeyError(name)
        return self._payloads[hashlib.sha256(name.encode()).digest()[0] % len(self._payloads)]

    def __contains__(self, name: object) -> bool:
        return bool(self._payloads)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return len(self._payloads)


def _at_once(work: Any) -> Any:
    """Run a coroutine that never really waits."""
    try:
        while True:
            work.send(None)
    except StopIteration as done:
        return done.value


async def play(
    world: World, trial: Trial, scenario: Scenario, started: tuple[str, Any] | None = None
) -> Tale:
    """Play one scenario; `started` is the (workflow, input) a manifest stands
    for."""
    workflow, value = started or (scenario.workflow, scenario.input)
    return await Play(world, trial, scenario, workflow).tell(value)
