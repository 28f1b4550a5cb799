"""The baseline: which runs count as normal, read from the log or pinned in it.

A pinned baseline is an event: it names its runs, the digest of all that is
compared of them, and keeps the rules of its time, so that old runs can be
driven again under them. The numbers themselves are read from the log each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from agentsquad.insight.drift.contract import (
    DriftBaselineError,
    DriftUnknownError,
    DriftWindowError,
)
from agentsquad.insight.drift.population import TYPES, Census, Observation
from agentsquad.insight.drift.window import FORMS, between, digest, moment
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import nearest

BASELINED, ALARMED = "drift.baselined", "drift.alarmed"
DEFAULT_WINDOW = 200


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which windows somebody wants to compare."""

    workflow: str
    since: str | None = None
    baseline: str | None = None
    window: int | None = None


class Population(msgspec.Struct, kw_only=True):
    """Both windows, and the runs that are not in them because they go on."""

    old: list[Observation]
    new: list[Observation]
    open_runs: int
    pinned: Event | None = None


def stream(workflow: str) -> str:
    """Return the stream of what is noted about a workflow's drift."""
    return f"drift/{workflow}"


async def census(
    store: EventStore, workflow: str, progress: Callable[[str], None] = lambda text: None
) -> Census:
    """Read every run of a name; refuse a name no run goes by."""
    found = Census(workflow)
    after = 0
    while batch := await store.read(after=after, limit=5000, types=TYPES):
        for event in batch:
            found.add(event)
        after = batch[-1].seq
        progress(f"reading the log: {after} events, {len(found.found)} runs")
    if not found.found:
        raise DriftUnknownError(
            f"no run of a workflow or agent named {workflow!r}",
            hint=nearest(workflow, found.names) or "squad runs list",
        )
    return found


async def pinned(store: EventStore, workflow: str) -> Event | None:
    """Return the event of the last baseline that was pinned."""
    events = await store.read_stream(stream(workflow))
    return next((one for one in reversed(events) if one.type == BASELINED), None)


def divide(
    question: Question, found: Sequence[Observation], pin: Event | None, now_ms: int
) -> Population:
    """Return the old and the new runs that a question means."""
    if question.since is not None and question.window is not None:
        raise DriftWindowError(
            "--since and --window both say which runs are new", hint="leave one of them out"
        )
    ended = [one for one in found if one.ended]
    open_runs = len(found) - len(ended)
    old: list[Observation] | None = None
    if question.baseline is not None:
        pin = None
        old = _within(ended, *between(question.baseline), now_ms)
    elif pin is not None:
        old = _held(ended, pin)
    last = old[-1].seq if old else 0
    if question.since is not None:
        new = [one for one in ended if _from(one, question.since, found, now_ms)]
    elif question.window is not None or old is None:
        size = DEFAULT_WINDOW if question.window is None else question.window
        if size < 1:
            raise DriftWindowError(f"a window of {size} runs holds none")
        if question.window is None:
            size = min(size, len(ended) // 2)
        new = ended[-size:] if size else []
    else:
        new = [one for one in ended if one.seq > last]
    if old is None:
        first = new[0].seq if new else 1 << 62
        old = [one for one in ended if one.seq < first]
    elif old and new and new[0].seq <= last:
        raise DriftWindowError(
            f"the windows overlap: the baseline ends with the run of {old[-1].started}, "
            f"and the new runs begin with that of {new[0].started}",
            hint="end the baseline before --since",
        )
    return Population(old=old, new=new, open_runs=open_runs, pinned=pin)


def _held(ended: Sequence[Observation], pin: Event) -> list[Observation]:
    """Return the runs of a pinned baseline; they must be what they were."""
    body = pin.payload
    old = [one for one in ended if body["first_seq"] <= one.seq <= body["last_seq"]]
    old = [one for one in old if one.run not in set(body["left_out"])]
    now = digest(old)
    if now != body["digest"]:
        raise DriftBaselineError(
            f"the log no longer gives the baseline that event {pin.seq} pinned: "
            f"{body['runs']} runs, {body['digest'][:19]}…; now {len(old)} runs, {now[:19]}…",
            hint="what was erased since is missing from it; pin it again: squad baseline …",
        )
    return old


def _within(ended: Sequence[Observation], first: str, last: str, now_ms: int) -> list[Observation]:
    found = [one for one in ended if not first or _from(one, first, ended, now_ms)]
    if not last:
        return found
    end = moment(last, now_ms, end=True)
    if end is not None:
        return [one for one in found if one.started <= end]
    stop = _seq(last, ended)
    return [one for one in found if one.seq <= stop]


def _from(one: Observation, text: str, found: Sequence[Observation], now_ms: int) -> bool:
    at = moment(text, now_ms)
    if at is not None:
        return one.started >= at
    return one.seq >= _seq(text, found)


def _seq(text: str, found: Sequence[Observation]) -> int:
    """Return where a run began, named by the beginning of its id."""
    near = [one for one in found if one.run.startswith(text)]
    if not near or len({one.root for one in near}) > 1:
        what = "names several runs" if near else "is neither a time nor one of its runs"
        raise DriftWindowError(f"{text!r} {what}", hint=f"write {FORMS}")
    return near[0].seq


def pin_body(
    workflow: str, found: Sequence[Observation], old: Sequence[Observation], kept: Any
) -> dict[str, Any]:
    """Return the payload of a baseline that is pinned."""
    held = {one.run for one in old}
    return {
        "workflow": workflow,
        "runs": len(old),
        "first": old[0].started,
        "last": old[-1].started,
        "first_seq": old[0].seq,
        "last_seq": old[-1].seq,
        "digest": digest(old),
        "left_out": [
            one.run for one in found if old[0].seq <= one.seq <= old[-1].seq and one.run not in held
        ],
        "policy": kept,
    }
