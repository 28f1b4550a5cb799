"""Replay: drive the code over the journal and say whether anything comes out
differently.

Hermetic: it reads events and runs workflow code and pure actions, nothing else;
no model, connector or clock can be reached from here. Walking the journal
through the decider also shows that every recorded step is one the code really
asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import MissingError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.pointer import diff, shown, walk
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism.contract import Replay
from agentsquad.runtime.determinism.hermetic import recompute
from agentsquad.runtime.engine.contract import NonDeterministicError
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.links import CONTINUED, successor
from agentsquad.runtime.engine.versions import Version, Versions

_RANK = {"identical": 0, "compatible": 1, "not_replayable": 2, "diverged": 3}


async def replay(
    store: EventStore,
    registry: Registry,
    run: str,
    blobs: BlobStore | None = None,
    versions: Versions | None = None,
) -> Replay:
    """Replay a run and every run below it; the verdict is the worst of all.

    With `versions`, each under the version it ran under, as far as that is
    there; else under what is in the registry.
    """
    events = await store.read_stream(f"run/{run}")
    if not events:
        raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
    family = {run: events}
    for name, _ in await store.streams(f"run/{run}/"):
        family[name.removeprefix("run/")] = await store.read_stream(name)
    found = {}
    for one, journal in family.items():
        under = None if versions is None else await ran_under(one, journal, versions)
        found[one] = await replay_events(one, journal, registry, blobs, under)
    sound = {one: family[one] for one, told in found.items() if not told.exit_code}
    for one, told in found.items():
        if told.verdict != "not_replayable":
            found[one] = contradiction(one, family[one], sound) or told
    return combine(found.pop(run), found.values())


async def ran_under(run: str, events: list[Event], versions: Versions) -> Version | None:
    """Return the version that a run ran under, or what a run would take now;
    None if there is neither."""
    if events[0].type != "run.started" or events[0].payload is None:
        return None
    try:
        return await versions.of(run, events)
    except SquadError:
        try:
            return await versions.newest(events[0].payload["workflow"])
        except SquadError:
            return None


def contradiction(
    run: str, events: list[Event], children: Mapping[str, list[Event]]
) -> Replay | None:
    """Return where a run says something else of a child run than the child's
    own journal."""
    for event in events:
        body = event.payload
        child = children.get(body.get("child", ""))
        if not child or not event.type.startswith("step."):
            continue
        said = {"input": child[0].payload["input"]}
        while child and child[-1].type == CONTINUED:  # its row ends with what it gave
            child = children.get(successor(child[-1].stream.removeprefix("run/")), [])
        if child and child[-1].type in ("run.completed", "run.failed"):
            field = "output" if child[-1].type == "run.completed" else "error"
            said[field] = child[-1].payload.get(field)
        for field, now in said.items():
            for where, was, other in diff(body.get(field), now):
                return Replay(
                    run=run,
                    verdict="diverged",
                    events=len(events),
                    event=event.seq,
                    field=f"/{field}{where}",
                    was=was,
                    now=other,
                    position=body["position"],
                    reason=f"the journal of {body['child']} has {other!r}, not {was!r}",
                )
    return None


def combine(own: Replay, children: Iterable[Replay]) -> Replay:
    """Return the run's verdict with its children's counted in."""
    below = list(children)
    worst = max([own, *below], key=lambda one: _RANK[one.verdict])
    return Replay(
        run=own.run,
        verdict=worst.verdict,
        events=own.events + sum(child.events for child in below),
        event=worst.event,
        field=worst.field,
        was=worst.was,
        now=worst.now,
        reason=worst.reason
        if worst is own or worst.reason is None
        else f"run {worst.run}: {worst.reason}",
        position=worst.position,
        children=[child for child in below if child.verdict != "identical"],
        recomputed=own.recomputed + sum(child.recomputed for child in below),
        definition=own.definition,
        recorded_definition=own.recorded_definition,
    )


async def replay_events(
    run: str,
    events: list[Event],
    registry: Registry,
    blobs: BlobStore | None = None,
    under: Version | None = None,
) -> Replay:
    """Replay one run's own events."""
    registry = registry if under is None else under.world.registry
    started = events[0].payload or {}
    facts: dict[str, Any] = {
        "run": run,
        "events": len(events),
        "recorded_definition": started.get("definition", ""),
    }
    missing = incomplete(events)
    if missing is not None:
        return Replay(verdict="not_replayable", event=missing[0], reason=missing[1], **facts)
    named = registry.workflows.get(started["workflow"])
    workflow = named if under is None else under.workflow
    if workflow is None:
        return Replay(
            verdict="not_replayable",
            event=events[0].seq,
            field="/workflow",
            reason=f"workflow {started['workflow']!r} is not installed here",
            **facts,
        )
    facts["definition"] = workflow.digest
    instance = Instance(run, workflow, registry)
    recomputed = 0
    for event in events:
        try:
            instance.apply(event)
        except NonDeterministicError as error:
            return Replay(**{**_located(error), **facts, "recomputed": recomputed})
        except SquadError as error:
            return Replay(
                verdict="diverged",
                event=event.seq,
                reason=error.message,
                recomputed=recomputed,
                **facts,
            )
        found = await pure_difference(event, registry, blobs)
        if isinstance(found, Replay):
            return Replay(**{**_set(found), **facts, "recomputed": recomputed})
        recomputed += found
    same = workflow.digest == facts["recorded_definition"]
    return Replay(verdict="identical" if same else "compatible", recomputed=recomputed, **facts)


def incomplete(events: list[Event]) -> tuple[int, str] | None:
    """Return (event, why) of the first thing the recording lacks."""
    if events[0].type != "run.started":
        return events[0].seq, "the journal does not begin with run.started"
    expected = 1
    for event in events:
        if event.stream_seq != expected:
            return event.seq, f"event {expected} of the run is missing"
        expected += 1
        if event.payload is None:
            return event.seq, "the payload of this event was erased"
        for pointer, _ in walk(event.payload):
            if "$erased" in pointer:
                return event.seq, f"the value at {pointer.partition('/$erased')[0]} was erased"
    return None


async def pure_difference(
    event: Event, registry: Registry, blobs: BlobStore | None = None
) -> Replay | int:
    """Recompute a recorded pure step; 1 when it is the same, 0 when it is not
    one."""
    body = event.payload
    if event.type not in ("step.completed", "step.failed") or body.get("effect") != "pure":
        return 0
    if "intervention" in body:
        return 0  # a person said what it gave
    action = registry.actions.get(body["action"])
    if action is None or action.spec.effect is not Effect.PURE:
        return 0
    output, error = await recompute(action, body["input"], blobs)
    if error is not None and error.code == "ledger.blob_missing":
        return _found(event, "/input", None, None, "not_replayable", error.message)
    if event.type == "step.failed":
        now = None if error is None else error.code
        was = body["error"].get("code")
        if now == was:
            return 1
        return _found(event, "/error/code", was, now)
    if error is not None:
        return _found(event, "/output", body["output"], error.to_dict())
    for pointer, was, now in diff(body["output"], output):
        return _found(event, f"/output{pointer}", was, now)
    return 1


def _found(
    event: Event, field: str, was: Any, now: Any, verdict: Any = "diverged", reason: str = ""
) -> Replay:
    return Replay(
        run="",
        verdict=verdict,
        events=0,
        event=event.seq,
        field=field,
        was=shown(was),
        now=shown(now),
        position=event.payload["position"],
        reason=reason or f"{event.payload['action']} gave {was!r}, now it gives {now!r}",
    )


def _set(found: Replay) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "event": found.event,
        "field": found.field,
        "was": found.was,
        "now": found.now,
        "reason": found.reason,
        "position": found.position,
    }


def _located(error: NonDeterministicError) -> dict[str, Any]:
    details = error.details
    return {
        "verdict": "diverged",
        "event": details.get("event"),
        "field": details.get("field", "/action"),
        "was": shown(details.get("was", details.get("expected"))),
        "now": shown(details.get("now", details.get("came"))),
        "reason": error.message,
        "position": details.get("position"),
    }
