"""Tasks: what the events of a run say, as A2A tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.surfaces.a2a.contract import (
    AUTH_REQUIRED,
    CANCELED,
    COMPLETED,
    ENDED,
    FAILED,
    INPUT_REQUIRED,
    MESSAGE,
    SUBMITTED,
    WORKING,
)
from agentsquad.surfaces.a2a.parts import file_parts
from agentsquad.surfaces.a2a.workflow import ASKS

_ENDS = {"run.completed": COMPLETED, "run.failed": FAILED, "run.cancelled": CANCELED}


class Told(msgspec.Struct, kw_only=True):
    """What the events of a task's run tell."""

    run: str
    context: str = ""
    state: str = SUBMITTED
    at: str = ""
    seq: int = 0
    words: str = ""
    output: Any = None
    messages: list[dict[str, Any]] = []
    waits: set[str] = set()
    asks: str = ""


def told(run: str, events: Iterable[Event], questions: Sequence[str] = ()) -> Told:
    """Fold a run's own events; `questions` are what people are asked below
    it."""
    found = Told(run=run, messages=[], waits=set())
    state = found.state
    for event in events:
        state = follow(found, event)
    found.context = found.context or run
    found.state = state
    if state == INPUT_REQUIRED:
        found.words = found.asks
    elif state == WORKING and questions:
        found.state, found.words = AUTH_REQUIRED, "; ".join(questions)
    return found


def follow(found: Told, event: Event) -> str:
    """Fold one event more; return the state that the run's own events tell."""
    _take(found, event)
    found.at, found.seq = event.time, event.seq
    if found.state in ENDED:
        return found.state
    return INPUT_REQUIRED if found.waits else WORKING


def _take(found: Told, event: Event) -> None:
    body = event.payload if isinstance(event.payload, Mapping) else {}
    kind = event.type
    if kind == "run.started":
        given = body.get("input")
        if isinstance(given, Mapping):
            found.context = str(given.get("context") or "")
            found.messages.append(_message(found, given.get("message")))
    elif kind == "signal.waiting" and body.get("name") == MESSAGE:
        found.waits.add(str(body.get("position")))
    elif kind == "signal.received" and body.get("name") == MESSAGE:
        found.waits.clear()
        found.messages.append(_message(found, body.get("payload")))
    elif kind == "step.completed":
        output = body.get("output")
        if isinstance(output, Mapping) and isinstance(output.get(ASKS), str):
            found.asks = output[ASKS]
    elif kind in _ENDS:
        found.state = _ENDS[kind]
        found.output = body.get("output")
        error = body.get("error")
        if isinstance(error, Mapping):
            found.words = str(error.get("message", ""))


def _message(found: Told, message: Any) -> dict[str, Any]:
    body = dict(message) if isinstance(message, Mapping) else {"parts": []}
    body.setdefault("messageId", f"{found.run}-{len(found.messages) + 1}")
    return {**body, "role": "ROLE_USER", "taskId": found.run, "contextId": found.context}


def status_of(found: Told) -> dict[str, Any]:
    """Return how a task stands."""
    body: dict[str, Any] = {"state": found.state, "timestamp": found.at}
    if found.words:
        body["message"] = {
            "messageId": f"{found.run}-status-{found.seq}",
            "role": "ROLE_AGENT",
            "parts": [{"text": found.words, "mediaType": "text/plain"}],
            "taskId": found.run,
            "contextId": found.context or found.run,
        }
    return body


def artifacts_of(found: Told) -> list[dict[str, Any]]:
    """Return what came of a task."""
    if found.state != COMPLETED:
        return []
    if isinstance(found.output, str):
        part: dict[str, Any] = {"text": found.output, "mediaType": "text/plain"}
    else:
        part = {"data": found.output, "mediaType": "application/json"}
    files = file_parts(found.output)
    return [{"artifactId": "output", "name": "output", "parts": [part, *files]}]


def task_of(found: Told, *, history: int | None = None, artifacts: bool = True) -> dict[str, Any]:
    """Return a task; `history` is how many of its messages, None for all."""
    body: dict[str, Any] = {
        "id": found.run,
        "contextId": found.context or found.run,
        "status": status_of(found),
    }
    if artifacts:
        body["artifacts"] = artifacts_of(found)
    if history != 0 and found.messages:
        body["history"] = found.messages if history is None else found.messages[-history:]
    return body
