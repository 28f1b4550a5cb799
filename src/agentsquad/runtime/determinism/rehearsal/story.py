"""What a rehearsal came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.determinism.rehearsal.counterparty import Counterparty
from agentsquad.runtime.engine.links import CONTINUED
from agentsquad.runtime.engine.state import END_EVENTS, RESOLVING


class EffectLine(msgspec.Struct, frozen=True, kw_only=True):
    """One effect key: how often it reached the other side, and how often the
    log says that it was confirmed there."""

    key: str
    run: str
    position: str
    action: str
    input: Any = None
    output: Any = None
    arrived: int = 0
    confirmed: int = 0
    refused: bool = False


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """How a rehearsal ended.

    `status` is completed, failed or cancelled, as the last of its row ended
    when the run goes on as new; `continued` when it still went on after as many
    runs as are rehearsed; `waiting` when nothing more comes although the run
    has not ended, `stuck` when the engine stopped driving it (`error` says
    why). `resolved` maps each run to what became of its steps, `effects` each
    key to its line. `verdict` is the replay's: "identical", or what differs;
    None when it was not asked for. `made_up` names the actions answered from
    their schema, `by_hand` those a person carried out since nobody could say
    whether they had happened. `appends` says what each append wrote, `calls`
    run, position and action of each call that left the process; `whole` holds
    events that were appended together with the next one, all or none; `touched`
    what was reached for past the door, and refused.
    """

    run: str
    status: str
    output: Any
    error: Any
    resolved: dict[str, dict[str, str]]
    effects: dict[str, EffectLine]
    events: tuple[Event, ...]
    verdict: str | None
    appends: tuple[str, ...]
    calls: tuple[tuple[str, str, str], ...]
    crashes: int
    whole: frozenset[int] = frozenset()
    touched: tuple[str, ...] = ()
    made_up: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()

    @property
    def repeated(self) -> int:
        """How often an effect reached the other side, or was confirmed, once
        more than it should."""
        return sum(
            max(0, line.arrived - 1) + max(0, line.confirmed - 1) for line in self.effects.values()
        )


def steps_of(events: tuple[Event, ...]) -> dict[str, dict[str, str]]:
    """Return, for each run, which event first gave each position its result."""
    resolved: dict[str, dict[str, str]] = {}
    for event in events:
        if not event.stream.startswith("run/"):
            continue
        steps = resolved.setdefault(event.stream[4:], {})
        if event.type in RESOLVING:
            steps.setdefault(event.payload["position"], event.type)
    return resolved


def effects_of(
    events: tuple[Event, ...], counterparty: Counterparty, again: frozenset[int]
) -> dict[str, EffectLine]:
    """Return the effect ledger of both sides, by key; `again` are the seqs of
    events that somebody delivered twice on purpose."""
    keys: dict[tuple[str, str], str] = {}
    confirmed: dict[str, int] = {}
    for event in events:
        place = (event.stream[4:], (event.payload or {}).get("position", ""))
        if event.type == "effect.planned":
            keys[place] = event.payload["key"]
        elif event.type == "effect.confirmed" and event.seq not in again:
            key = event.payload.get("key") or keys.get(place, "")
            confirmed[key] = confirmed.get(key, 0) + 1
    return {
        key: EffectLine(
            key=key,
            run=one.run,
            position=one.position,
            action=one.action,
            input=one.input,
            output=one.answer.output,
            arrived=one.arrived,
            confirmed=confirmed.get(key, 0),
            refused=not one.performed,
        )
        for key, one in counterparty.deliveries.items()
    }


def status_of(ended: Mapping[str, Event], run: str) -> tuple[str, Any, Any]:
    """Return (status, output, error) of a run that has ended; the output of one
    that went on as new is what it handed on."""
    last = ended[run]
    output = last.payload.get("input" if last.type == CONTINUED else "output")
    return END_EVENTS[last.type], output, last.payload.get("error")
