"""Standing: what every run answers by itself, seen from its journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.command import Ask, Call, Child, Command, Reply, Sleep, WaitSignal
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.flow import DEADLINE
from agentsquad.runtime.engine.inbound.contract import Waited
from agentsquad.runtime.engine.state import END_EVENTS

KINDS: dict[type, Any] = {
    Call: "call",
    Child: "child",
    Sleep: "time",
    WaitSignal: "signal",
    Ask: "person",
    Reply: "update",
}


def status(journal: Sequence[Event]) -> dict[str, Any]:
    """Return how a run stands; no code is needed for that."""
    first, last = journal[0], journal[-1]
    ended = END_EVENTS.get(last.type)
    found: dict[str, Any] = {
        "run": first.stream.removeprefix("run/"),
        "workflow": first.payload["workflow"],
        "status": ended or "open",
        "started": first.time,
        "last": last.time,
        "events": len(journal),
    }
    if ended:
        body = last.payload or {}
        found |= {"output": body.get("output"), "error": body.get("error")}
    return found


def waiting(instance: Instance) -> list[Waited]:
    """Return what a run waits for, in the order of its positions."""
    return [
        waited(instance, command)
        for position, command in sorted(instance.commands.items(), key=lambda one: _sort(one[0]))
        if position != DEADLINE or len(instance.commands) == 1
    ]


def waited(instance: Instance, command: Command) -> Waited:
    """Return one command of a run as what it waits for."""
    state = instance.state
    position = command.position
    incident = state.incidents.get(position)
    level = state.levels.get(position, 0)
    roles: tuple[str, ...] = command.roles if isinstance(command, Ask) else ()
    due = getattr(command, "due_ms", None)
    if isinstance(command, (Ask, WaitSignal)):
        due = state.timers.get(position)
        roles = command.escalate[level - 1].roles if level else roles
    name = command.action if isinstance(command, (Ask, Call)) else command.name
    return Waited(
        position=position,
        kind="incident" if incident is not None else KINDS[type(command)],
        name=name,
        due_ms=due,
        roles=roles,
        level=level,
        error=None if incident is None else incident.payload.get("error"),
    )


def stack(instance: Instance) -> list[dict[str, Any]]:
    """Return where each branch of a run stands in its code: the functions it is
    in, outermost first, and the step it waits at."""
    found = []
    for task in instance.branches():
        waits = task.waiting
        found.append(
            {
                "branch": task.path.rstrip("."),
                "at": getattr(waits, "position", None),
                "frames": _frames(task.coro),
            }
        )
    return found


def _frames(coro: Any) -> list[dict[str, Any]]:
    found = []
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        code = getattr(coro, "cr_code", None)
        if frame is None or code is None:
            break
        if "agentsquad/runtime/engine/" not in code.co_filename:
            name = code.co_filename.rpartition("/")[2]
            found.append({"function": code.co_qualname, "file": name, "line": frame.f_lineno})
        coro = coro.cr_await
    return found


def _sort(position: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in position.split("."))


def built_in(instance: Instance, name: str) -> Any:
    """Return the answer to a query that needs the run's code but no handler of
    it."""
    if name == "waiting":
        return msgspec.to_builtins(waiting(instance))
    if name == "stack":
        return stack(instance)
    return instance.offers
