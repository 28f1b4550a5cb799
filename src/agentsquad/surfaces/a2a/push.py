"""Push: who is told of a task's states, what they were told, and what is due.
Pure.

Everything is folded from the stream `push/TASK`, so that it goes on where it
was after a restart. Laws: what is due for one receiver is its oldest unsettled
notification, so each hears of a task in order; one is settled when it was taken
or given up, never otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.surfaces.a2a.contract import AUTH_REQUIRED, ENDED, WORKING, Receipt
from agentsquad.surfaces.a2a.task import Told, follow

CONFIGURED, REMOVED = "push.configured", "push.removed"
QUEUED, DELIVERED = "push.queued", "push.delivered"
FAILED, GIVEN_UP, AGAIN = "push.failed", "push.abandoned", "push.reopened"
TYPES = (CONFIGURED, REMOVED, QUEUED, DELIVERED, FAILED, GIVEN_UP, AGAIN)
PREFIX = "push/"
ATTEMPTS_MAX = 12
FIRST_MS, LAST_MS = 1_000, 900_000
CONFIGS_MAX = 10  # of one task


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """One state to tell: `n` is its place in the stream, `seq` the event of the
    task's run by which it came, `live` whether it came of something below the
    run."""

    n: int
    seq: int
    state: str
    at: str = ""
    live: bool = False


class Letter(msgspec.Struct, kw_only=True):
    """How one notification to one receiver stands."""

    queued: Queued
    attempts: int = 0
    due_ms: int = 0
    why: str = ""


class Config(msgspec.Struct, kw_only=True):
    """One receiver of a task's states; `sealed` holds what it is shown."""

    id: str
    url: str
    n: int
    after: int = 0
    version: str = ""
    scheme: str = ""
    sealed: str = ""
    by: str = ""
    roles: tuple[str, ...] = ()
    waiting: list[Letter] = []
    dead: list[Letter] = []
    delivered: int = 0
    told: str = ""


class Box(msgspec.Struct, kw_only=True):
    """What is known of one task's notifications."""

    task: str
    version: int = 0
    configs: dict[str, Config] = {}
    queued: dict[int, Queued] = {}
    last: Queued | None = None

    @property
    def open(self) -> bool:
        """Whether there is, or may be, something to tell."""
        if any(one.waiting for one in self.configs.values()):
            return True
        return bool(self.configs) and (self.last is None or self.last.state not in ENDED)

    @property
    def base(self) -> int:
        """After which event of the run states are told."""
        first = min((one.after for one in self.configs.values()), default=0)
        return max(first, self.last.seq if self.last else 0)


def folded(task: str, events: Iterable[Event]) -> Box:
    """Return what the events of a stream tell."""
    box = Box(task=task, configs={}, queued={})
    for event in events:
        take(box, event)
    return box


def take(box: Box, event: Event) -> None:
    """Fold one event."""
    body: dict[str, Any] = dict(event.payload or {})
    box.version = event.stream_seq
    kind, name = event.type, str(body.get("config", ""))
    if kind == QUEUED:
        one = msgspec.convert({**body, "n": event.stream_seq}, Queued)
        box.queued[one.n] = box.last = one
        for config in box.configs.values():
            if one.seq > config.after or one.live:
                config.waiting.append(Letter(queued=one))
    elif kind == CONFIGURED:
        before = box.configs.get(name)
        made = msgspec.convert({**body, "id": name, "n": event.stream_seq}, Config)
        if before is not None:  # the same receiver, said anew: what waits, waits
            made.waiting, made.dead = before.waiting, before.dead
            made.delivered, made.told, made.after = before.delivered, before.told, before.after
        box.configs[name] = made
    elif kind == REMOVED:
        box.configs.pop(name, None)
    elif name in box.configs:
        _settle(box, box.configs[name], kind, body)


def _settle(box: Box, config: Config, kind: str, body: dict[str, Any]) -> None:
    n = body["n"]
    if kind == AGAIN:
        config.dead = [one for one in config.dead if one.queued.n != n]
        config.waiting = sorted(
            [*config.waiting, Letter(queued=box.queued[n])], key=lambda one: one.queued.n
        )
        return
    letter = next((one for one in config.waiting if one.queued.n == n), None)
    if letter is None:
        return
    letter.attempts, letter.why = body.get("attempts", 1), body.get("why", "")
    if kind == FAILED:
        letter.due_ms = body["due_ms"]
        return
    config.waiting.remove(letter)
    if kind == DELIVERED:
        config.delivered += 1
        config.told = letter.queued.state
    else:
        config.dead.append(letter)


def due(config: Config, now_ms: int) -> Letter | None:
    """Return the notification that is to leave now, None where none is."""
    first = config.waiting[0] if config.waiting else None
    return first if first is not None and first.due_ms <= now_ms else None


def outcome(config: Config, letter: Letter, receipt: Receipt, now_ms: int) -> dict[str, Any]:
    """Return the event that says what became of an attempt: its type and what
    it holds."""
    attempts = letter.attempts + 1
    body: dict[str, Any] = {"config": config.id, "n": letter.queued.n, "attempts": attempts}
    if receipt.taken:
        return {"type": DELIVERED, "payload": {**body, "status": receipt.status}}
    body["why"] = receipt.why
    if receipt.refused or attempts >= ATTEMPTS_MAX:
        return {"type": GIVEN_UP, "payload": body}
    wait_ms = max(backoff_ms(attempts), int(receipt.after_s * 1000))
    return {"type": FAILED, "payload": {**body, "due_ms": now_ms + wait_ms}}


def backoff_ms(attempts: int) -> int:
    """Return how long to wait after so many attempts."""
    return min(FIRST_MS << min(attempts - 1, 20), LAST_MS)


def changes(box: Box, events: Sequence[Event], questions: Sequence[str]) -> list[dict[str, Any]]:
    """Return the states to tell by now, oldest first, as events hold them.

    `questions` are what people are asked below the run at this moment; they
    leave no event in its own stream.
    """
    base, last = box.base, box.last.state if box.last is not None else ""
    found: list[dict[str, Any]] = []
    told = Told(run=box.task, messages=[], waits=set())
    state = at = ""
    for event in events:
        state, at = follow(told, event), event.time
        if questions and state == WORKING and last == AUTH_REQUIRED:
            state = AUTH_REQUIRED  # still
        if event.seq <= base:
            last = last if box.last is not None else state  # known to who asked then
        elif state != last:
            found.append({"seq": event.seq, "state": state, "at": at})
            last = state
    asked = AUTH_REQUIRED if questions and state == WORKING else state
    below = asked != last and AUTH_REQUIRED in (asked, last)
    if below and events and box.configs and last not in ENDED:
        found.append({"seq": events[-1].seq, "state": asked, "at": at, "live": True})
    return found
