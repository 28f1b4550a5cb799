"""The world outside, as a rehearsal's door meets it: the last interceptor.

A pure action runs. An outward one never does: the counterparty takes it. A read
is answered as recorded, else done if it may be, else made up from its schema.
Here calls are numbered, and here they lose their answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from agentsquad.kernel.action import Action, Effect
from agentsquad.kernel.errors import UnavailableError
from agentsquad.kernel.ports import BlobStore, Clock
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism.hermetic import recompute
from agentsquad.runtime.determinism.rehearsal.clock import ManualClock
from agentsquad.runtime.determinism.rehearsal.counterparty import Counterparty, Delivery
from agentsquad.runtime.determinism.rehearsal.fault import Fault
from agentsquad.runtime.determinism.rehearsal.guard import unwatched
from agentsquad.runtime.determinism.rehearsal.recorded import Answer, Recorded
from agentsquad.runtime.determinism.rehearsal.sample import Sample
from agentsquad.runtime.determinism.rehearsal.scratch import Life
from agentsquad.runtime.engine.contract import StepDeadlineError
from agentsquad.runtime.engine.decider import plain
from agentsquad.runtime.engine.door import Proceed, Step, World
from agentsquad.runtime.engine.interceptors.execute import execute

HARMLESS = ("policy.decide", "policy.query", "workflows.find", "agents.brief", "models.list")
GENERATE = "models.generate"
Respond = Callable[[Step], Any]  # an answer of one's own, NotImplemented to pass, or an error


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are answered that nothing recorded answers (see `Options`)."""

    reads: Collection[str] = ()
    fresh: Collection[str] = ()
    respond: Respond | None = None


class Outside:
    """Answers every call of one rehearsal; an interceptor."""

    def __init__(
        self,
        counterparty: Counterparty,
        recorded: Recorded,
        sample: Sample,
        life: Life,
        manner: Manner,
    ) -> None:
        self.counterparty = counterparty
        self.recorded = recorded
        self.sample = sample
        self.life = life
        self.reads = frozenset(manner.reads) | frozenset(HARMLESS)
        self.fresh = frozenset(manner.fresh)
        self.respond = manner.respond
        self.called: list[tuple[str, str, str]] = []  # run, position, action
        self.made_up: set[str] = set()  # actions answered from their schema
        self.by_hand: set[str] = set()  # effects a person had to carry out
        self.moved = asyncio.Event()
        self.busy = 0

    async def __call__(self, world: World, step: Step, proceed: Proceed) -> Any:
        """Answer one call; nothing comes after this interceptor."""
        spec = step.action.spec
        if spec.effect is Effect.PURE:
            return await self._really(world, step, proceed)
        self.called.append((step.run or "", step.position, spec.name))
        fault = self.life.faults.calls.get(len(self.called))
        if fault is not None and fault.kind == "lost-before":
            return await self._lost(world, step)
        answer = await self._answer(world, step, proceed)
        if fault is not None:
            await self._disturbed(world, step, fault)
        return answer

    async def _disturbed(self, world: World, step: Step, fault: Fault) -> None:
        if fault.kind == "lost-after":
            await self._lost(world, step)
            return
        limit = step.timeout_ms
        if limit is not None and fault.ms >= limit:
            await self._wait(world, step, limit)
            raise self._deadline(step)
        await self._wait(world, step, fault.ms)

    async def _wait(self, world: World, step: Step, ms: int) -> None:
        """Let virtual time pass; a real action that waits for a call of its own
        is not at work meanwhile."""
        inside = step.told is None and self.busy > 0
        self.busy -= inside
        self.moved.set()
        try:
            await world.clock.sleep_ms(ms)
        finally:
            self.busy += inside

    async def _lost(self, world: World, step: Step) -> Any:
        """Give no answer: an effect runs into its deadline, what may be tried
        again is refused, and anything else hangs until the process is
        restarted.

        The wait before a repeated try takes no time, so that a run that
        recovers can be compared with one that had nothing to recover from.
        """
        if step.action.spec.effect.outward:
            raise self._deadline(step)
        if step.attempts < step.retry.attempts:
            clock: ManualClock = world.ports.get(Clock)
            clock.forgive()
            raise UnavailableError(f"{step.action.name} did not answer", code="rehearsal.lost")
        return await self.life.die()

    @staticmethod
    def _deadline(step: Step) -> StepDeadlineError:
        return StepDeadlineError(
            f"{step.action.name} did not answer in time",
            details={"action": step.action.name, "timeout_ms": step.timeout_ms},
        )

    async def _answer(self, world: World, step: Step, proceed: Proceed) -> Any:
        if step.action.spec.effect.outward:
            await asyncio.sleep(0)
            answer = self.counterparty.take(await self._delivery(world, step))
            await asyncio.sleep(0)  # so that others may be in between
            return answer
        if step.action.name in reconcilers(world.registry) and _asks(step):
            return _typed(step, self.counterparty.find(plain(step.input)["key"]))
        return await self._read(world, step, proceed)

    async def _read(self, world: World, step: Step, proceed: Proceed) -> Any:
        name = step.action.name
        answer = None if name in self.fresh else self._known(step)
        if answer is not None:
            await asyncio.sleep(0)
            step.usage.extend(dict(one) for one in answer.usage)
            return _typed(step, _given(answer))
        if (
            name in self.reads
            or name in safe_reads(world.registry)
            or (name == GENERATE and _by_rule(step))
        ):
            return await self._really(world, step, proceed)
        return _typed(step, self._own(step))

    def _known(self, step: Step) -> Answer | None:
        return self.recorded.answer(
            step.run, step.position, step.action.name, _plain_input(step.input)
        )

    def _own(self, step: Step) -> Any:
        """Return what the caller answers, or something that fits."""
        if self.respond is not None:
            answer = self.respond(step)
            if answer is not NotImplemented:
                return plain(answer)
        self.made_up.add(step.action.name)
        return self.sample.of(step.action.spec.output)

    async def _delivery(self, world: World, step: Step) -> Delivery:
        """Return an effect on its way, with what it will be answered."""
        key = step.idempotency_key
        known = self.counterparty.deliveries.get(key)
        return Delivery(
            key=key,
            run=step.run or "",
            position=step.position,
            action=step.action.name,
            input=step.input,
            answer=known.answer if known else await self._effect(world, step),
        )

    async def carry_out(self, world: World, step: Step) -> Any:
        """Have a person carry out, by hand and under the same key, an effect
        that never arrived and nobody can be asked about."""
        self.by_hand.add(step.action.name)
        return self.counterparty.take(await self._delivery(world, step))

    async def _effect(self, world: World, step: Step) -> Answer:
        """Return what an effect is answered: as the caller says, as recorded,
        as its preview predicts, or something that fits."""
        spec = step.action.spec
        if self.respond is not None:
            answer = self.respond(step)
            if answer is not NotImplemented:
                return Answer(output=plain(answer))
        recorded = self._known(step)
        if recorded is not None:
            return recorded
        if spec.preview is not None:
            action: Action = world.registry.action(spec.preview)
            output, error = await recompute(action, step.input, world.ports.get(BlobStore))
            if error is None:
                return Answer(output=output)
        self.made_up.add(spec.name)
        return Answer(output=self.sample.of(spec.output))

    async def _really(self, world: World, step: Step, proceed: Proceed) -> Any:
        """Run the action itself."""
        self.busy += 1
        try:
            if step.action.spec.effect is Effect.PURE:
                return await execute(world, step, proceed)
            with unwatched():
                return await execute(world, step, proceed)
        finally:
            self.busy -= 1
            self.moved.set()


_reconcilers: WeakKeyDictionary[Registry, frozenset[str]] = WeakKeyDictionary()
_safe: WeakKeyDictionary[Registry, frozenset[str]] = WeakKeyDictionary()


def reconcilers(registry: Registry) -> frozenset[str]:
    """Return the reads that ask the other side about an effect."""
    if registry not in _reconcilers:
        named = (action.spec.reconcile for action in registry.actions.values())
        _reconcilers[registry] = frozenset(name for name in named if name is not None)
    return _reconcilers[registry]


def safe_reads(registry: Registry) -> frozenset[str]:
    """Return the reads that workflows say are safe to do in a rehearsal."""
    if registry not in _safe:
        _safe[registry] = frozenset(
            name for flow in registry.workflows.values() for name in flow.safe_reads
        )
    return _safe[registry]


def _asks(step: Step) -> bool:
    """Whether a call has the shape of the effect ledger's question."""
    value = plain(step.input)
    return isinstance(value, dict) and "key" in value and "input" in value


def _plain_input(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True) if isinstance(value, msgspec.Struct) else value


def _by_rule(step: Step) -> bool:
    value = _plain_input(step.input)
    return isinstance(value, dict) and str(value.get("model", "")).startswith("rules/")


def _given(answer: Answer) -> Any:
    from agentsquad.kernel import errors

    if answer.error is not None:
        raise errors.restore(answer.error)
    return answer.output


def _typed(step: Step, output: Any) -> Any:
    """Return an answer as the caller expects it: steps of a run record plain
    values, calls inside a step take typed ones."""
    shape = step.action.spec.output
    if step.told is not None or shape is Any:
        return output
    return msgspec.convert(output, shape, strict=False)
