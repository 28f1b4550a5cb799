"""Links: runs that go on in the place of one another, and how they are named.

A run that continues as new ends, and in the same append another one begins
that goes on for it: "K", then "K~2", then "K~3". Whoever knows the first finds
the last. Pure, but for `follow`, which reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.state import RunState

CONTINUED = "run.continued"
MARK = "~"
# What reaches a run is passed on to the one that goes on for it.
PASSED_ON = ("signal.received", "run.cancel_requested")


def successor(run: str) -> str:
    """Return the id of the run that goes on after one."""
    above, slash, own = run.rpartition("/")
    name, _, number = own.partition(MARK)
    return f"{above}{slash}{name}{MARK}{int(number or 1) + 1}"


def origin(run: str) -> str:
    """Return the id of the first run of a chain."""
    above, slash, own = run.rpartition("/")
    return f"{above}{slash}{own.partition(MARK)[0]}"


def carried(state: RunState, run: str) -> list[NewEvent]:
    """Return what a run was told and did not take, told to another one: its
    signals, and that somebody asked it to stop."""
    told: Sequence[Event] = [event for box in state.mailbox.values() for event in box]
    told = sorted(told, key=lambda event: event.seq)
    if state.cancel is not None:
        told = [*told, state.cancel]
    return [
        NewEvent(
            stream=f"run/{run}",
            type=event.type,
            payload={**event.payload, "carried": event.seq},
            actor=event.actor,
            cause=event.seq,
            correlation=run.partition("/")[0],
        )
        for event in told
    ]


def above(state: RunState, due_ms: int | None) -> dict[str, Any] | None:
    """Return what the run that goes on knows of the run above it; of a limit
    that the run above had set, what is left."""
    if state.parent is None:
        return None
    parent = dict(state.parent)
    if parent.get("timeout_ms") is not None and due_ms is not None:
        parent["timeout_ms"] = max(1, due_ms - state.now_ms)
    return parent


async def follow(store: EventStore, run: str) -> list[str]:
    """Return the runs of a chain from one on, in order."""
    chain = [run]
    while await store.read_stream(f"run/{(following := successor(chain[-1]))}", limit=1):
        chain.append(following)
    return chain
