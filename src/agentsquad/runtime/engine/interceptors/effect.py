"""Effect: the ledger of what left for the world: planned, sent, confirmed,
failed, ambiguous.

Laws: nothing is sent before its plan is durable; a key is sent at most once
unless the other side was asked and said it knows nothing of it; an outcome that
is unknown is reconciled or waits for a person.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel import errors
from agentsquad.kernel.errors import (
    BugError,
    ConflictError,
    DeadlineError,
    IntegrityError,
    SquadError,
    UnavailableError,
)
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine.contract import EffectAmbiguousError, Expiring, Lease
from agentsquad.runtime.engine.decider import plain
from agentsquad.runtime.engine.door import Proceed, Step, StepContext, World, only
from agentsquad.runtime.engine.interceptors.admit import refuse_halted
from agentsquad.runtime.engine.state import EffectState

LOOK_MS = 20  # how often it is looked whether the lease was renewed


class Reconcile(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciling action is asked: do you know this key?"""

    key: Annotated[str, Meta(description="the effect's idempotency key")]
    input: Annotated[Any, Meta(description="what the effect was asked to do")]


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What it answers: `found` true with the output, false if it certainly
    never arrived."""

    found: bool
    output: Any = None


@only(lambda spec: spec.effect.outward)
async def effect(world: World, step: Step, proceed: Proceed) -> Any:
    """Take an outward call of a run through the ledger."""
    if step.run is None:
        return await proceed(step)
    state = step.effect
    if state is None:
        await _note(
            world,
            step,
            "effect.planned",
            {
                "action": step.action.name,
                "name": step.name,
                "input": step.input,
                "decision": plain(step.decision) if step.decision else None,
                "approvals": plain(step.approvals),
                # So that whoever resolves it can say what is undone with it.
                **({"undoes": step.undoes} if step.undoes else {}),
            },
        )
        step.effect = state = EffectState(
            key=step.idempotency_key, action=step.action.name, input=step.input
        )
    elif state.status in ("sent", "ambiguous"):
        found = await _left_before(world, step, state)
        if found is not None:
            return found
    await _send(world, step, state)
    await _still_mine(world)
    try:
        return await proceed(step)
    except SquadError as error:
        if certain(error):
            raise
        failure: BaseException = error
    except Exception as error:  # noqa: BLE001 - whatever it was, its outcome is unknown
        failure = error
    state.status = "ambiguous"
    await _note(world, step, "effect.ambiguous", {"error": errors.record(failure)})
    found = await reconcile(world, step)
    if found is not None:
        return found
    await _send(world, step, state)
    await _still_mine(world)
    try:
        return await proceed(step)
    except Exception as error:
        if isinstance(error, SquadError) and certain(error):
            raise
        await _note(world, step, "effect.ambiguous", {"error": errors.record(error)})
        raise _unknown(step) from error


async def _left_before(world: World, step: Step, state: EffectState) -> Any:
    """Find out about an effect that an earlier life of the run has sent.

    Where that cannot be found out it is written down, so that a person is able
    to resolve it.
    """
    try:
        return await reconcile(world, step)
    except EffectAmbiguousError as error:
        if state.status == "sent":
            state.status = "ambiguous"
            await _note(world, step, "effect.ambiguous", {"error": errors.record(error)})
        raise


async def _still_mine(world: World) -> None:
    """Return while nobody else can be driving the runs.

    A process that stood still after it wrote that an effect leaves may find
    that another has taken over and sent it. It waits until its lease is renewed
    or, where that is lost, until it is stopped; the effect is then found out
    about by who drives.
    """
    if not world.ports.has(Lease):
        return
    lease = world.ports.get(Lease)
    while isinstance(lease, Expiring) and not lease.certain:
        await world.clock.sleep_ms(LOOK_MS)


async def _send(world: World, step: Step, state: EffectState) -> None:
    """Write down, durably, that it is about to leave; only one writer can.

    The claim is a stream of its own that must be exactly as long as this run's
    journal says, so two drivers of one run, in any processes, can never both
    send.
    """
    claim = f"effect/{step.idempotency_key}"
    again = {"again": True} if state.sends else {}
    if again:
        await refuse_halted(world, step)
    try:
        events = await world.store.append(
            [
                _event(step, "effect.sent", again),
                NewEvent(
                    stream=claim,
                    type="effect.claimed",
                    payload={"run": step.run, "position": step.position},
                    actor=str(step.actor),
                    correlation=step.correlation,
                ),
            ],
            expect={claim: state.sends},
        )
    except ConflictError as error:
        raise _unknown(step) from error
    state.sends += 1
    state.status = "sent"
    _tell(step, events)


async def reconcile(world: World, step: Step) -> Any:
    """Ask the other side; return its output, None if it never arrived, or
    raise: still unknown."""
    name = step.action.spec.reconcile
    if name is None:
        raise _unknown(step)
    asked = Reconcile(key=step.idempotency_key, input=step.input)
    try:
        answer = await StepContext(world, step).call(name, asked)
    except (UnavailableError, DeadlineError) as error:
        raise _unknown(step) from error
    answer = msgspec.convert(msgspec.to_builtins(answer), Reconciled)
    if not answer.found:
        return None
    output = step.action.spec.output
    return answer.output if output is Any else msgspec.convert(answer.output, output, strict=False)


def mends(step: Step) -> bool:
    """Whether a step undoes an effect or finds out about one: that is held
    back by nothing that could make it fail."""
    return step.undoes is not None or isinstance(step.value, Reconcile)


def certain(error: SquadError) -> bool:
    """Whether an error says that nothing happened on the other side."""
    if error.details.get("sent") is False:
        return True
    return not isinstance(error, (UnavailableError, DeadlineError, BugError, IntegrityError))


def _unknown(step: Step) -> EffectAmbiguousError:
    return EffectAmbiguousError(
        f"{step.action.name} was sent and its outcome is unknown",
        hint=f"find out on the other side (key {step.idempotency_key}), then: "
        f"squad effects resolve {step.run} {step.position} --confirmed|--failed --reason …",
        details={"key": step.idempotency_key, "position": step.position},
    )


async def _note(world: World, step: Step, kind: str, body: dict[str, Any]) -> None:
    _tell(step, await world.store.append([_event(step, kind, body)]))


def _tell(step: Step, events: list[Event]) -> None:
    """Let the run hear of what was appended to its journal."""
    if step.told is not None:
        step.told(events[:1])


def _event(step: Step, kind: str, body: dict[str, Any]) -> NewEvent:
    return NewEvent(
        stream=f"run/{step.run}",
        type=kind,
        payload={"position": step.position, "key": step.idempotency_key, **body},
        actor=str(step.actor),
        cause=step.cause,
        correlation=step.correlation,
    )
