"""Dead letters: requests that were given up, read from the log, where they stay
until they were sent again and answered.

A letter is dead when its step failed for want of the other side, or the answer
that was passed on said "later". What was refused for good is an answer and no
letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.integrations.proxy.contract import (
    FORWARD,
    WORKFLOW,
    Answered,
    Forward,
    LetterMissingError,
)
from agentsquad.integrations.proxy.replaying import Entry, entries
from agentsquad.integrations.proxy.sending import LATER
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import BlobStore, EventStore

CLASSES = ("UnavailableError", "DeadlineError")
TYPES = ("run.started", "step.completed", "step.failed")
PAGE = 5000


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was given up: `id` is run and number, `why` what was
    said last."""

    id: str
    at: str
    api: str
    model: str
    why: str
    attempts: int = 1


async def letters(store: EventStore) -> list[Letter]:
    """Return the dead letters that were not sent again, oldest first."""
    found: dict[str, Letter] = {}
    again: dict[str, str] = {}  # runs that send a letter again
    after = 0
    while batch := await store.read(after=after, limit=PAGE, types=TYPES):
        for event in batch:
            _fold(found, again, event)
        after = batch[-1].seq
    return list(found.values())


def _fold(found: dict[str, Letter], again: dict[str, str], event: Event) -> None:
    body = event.payload or {}
    run = event.stream.removeprefix("run/")
    if event.type == "run.started":
        asked = (body.get("input") or {}) if body.get("workflow") == WORKFLOW else {}
        if asked.get("again"):
            again[run] = asked["again"]
        return
    if body.get("action") != FORWARD or "input" not in body:
        return
    why, attempts = reason(body)
    if run in again:
        if not why:
            found.pop(again[run], None)
        return
    if why:
        forward = msgspec.convert(body["input"], Forward, strict=False)
        name = f"{run}#{forward.n}"
        found[name] = Letter(
            id=name,
            at=event.time,
            api=forward.api,
            model=forward.model,
            why=why,
            attempts=attempts,
        )


def reason(body: Mapping[str, Any]) -> tuple[str, int]:
    """Return why a step's request was given up, "" if it was not, and how often
    it was sent."""
    error = body.get("error")
    if error is not None:
        given_up = error.get("class") in CLASSES
        return (str(error.get("message")) if given_up else ""), 1
    answered = msgspec.convert(body.get("output") or {"status": 0}, Answered, strict=False)
    if answered.status in LATER:
        return f"{answered.upstream} answered {answered.status}", answered.attempts
    broke = answered.cut and not answered.left
    return ("the stream broke off" if broke else ""), answered.attempts


async def letter(store: EventStore, blobs: BlobStore, name: str) -> Entry:
    """Return the request of a letter as it was asked."""
    run, _, number = name.rpartition("#")
    events = await store.read_stream(f"run/{run}") if run else []
    if not events or not number.isdecimal():
        raise LetterMissingError(
            f"no dead letter {name!r}", hint="squad proxy dead list shows them"
        )
    for entry in await entries(events, blobs):
        if entry.n == int(number):
            return entry
    raise LetterMissingError(f"no request {number} in {run}", hint="squad proxy dead list")
