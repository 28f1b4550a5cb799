"""Points: every fault at every boundary of an undisturbed run.

A boundary is an event (the process dies right before or right after it is
durable; right before, an effect under way has arrived, right after, it has
not), a call that leaves the process (its answer is lost before or after it
arrived), or an event that something was delivered by (it is delivered once
more).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from agentsquad.operations.chaos.contract import Point, PointInvalidError
from agentsquad.runtime.determinism.rehearsal import Story
from agentsquad.runtime.engine.state import RESOLVING

CRASHES = ("crash-before", "crash-after")
TIMEOUTS = ("lost-before", "lost-after")
TWICE = "twice"
KINDS = (*CRASHES, *TIMEOUTS, TWICE)
DELIVERED = frozenset({"run.started", "signal.received", *RESOLVING})


def every_point(calm: Story) -> list[Point]:
    """Return all points of an undisturbed run, kind by kind."""
    ends = [n for n in range(len(calm.events) + 1) if n not in calm.whole]
    found = [Point("crash-before", n + 1) for n in ends if n < len(calm.events)]
    found += [Point("crash-after", n) for n in ends if n]
    found += [Point(kind, n) for kind in TIMEOUTS for n in range(1, len(calm.calls) + 1)]
    found += [
        Point(TWICE, event.seq)
        for event in calm.events
        if event.stream.startswith("run/") and event.type in DELIVERED
    ]
    return found


def sampled(points: Sequence[Point], count: int, seed: str) -> list[Point]:
    """Return so many points, chosen by the seed."""

    def drawn(point: Point) -> bytes:
        return hashlib.sha256(f"{seed}/{point}".encode()).digest()

    chosen = set(sorted(points, key=drawn)[:count])
    return [point for point in points if point in chosen]


def chosen(points: Sequence[Point], only: str) -> list[Point]:
    """Return the one point that is named; PointInvalidError for another."""
    kind, at, number = only.partition("@")
    found = [point for point in points if str(point) == only]
    if not found:
        least = [point.at for point in points if point.kind == kind]
        within = f"{kind}@{min(least)} to {kind}@{max(least)}" if least else ", ".join(KINDS)
        raise PointInvalidError(
            f"there is no point {only!r} in this run",
            hint=f"write KIND@N: {within}" if at and number else f"write KIND@N, KIND of {within}",
        )
    return found


def boundary(calm: Story, point: Point) -> str:
    """Say in words where a point is."""
    if point.kind in TIMEOUTS:
        run, position, action = calm.calls[point.at - 1]
        return f"call {point.at}: {action} at step {position} of run {run}"
    event = calm.events[point.at - 1]
    place = (event.payload or {}).get("position")
    step = f" at step {place}" if place else ""
    run = f" of run {event.stream[4:]}" if event.stream.startswith("run/") else ""
    return f"event {point.at}: {event.type}{step}{run}"
