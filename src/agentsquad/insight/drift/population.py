"""Populations: what the log says about each run of a workflow or agent.

A fold over events in the order of the log, nothing else, so that a population
is a reading: made again from the same log it is the same to the byte. What
happens in child runs counts for the run of the population above them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agentsquad.insight.drift.leaf import leaves
from agentsquad.kernel import hashing
from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.runs import RUN_EVENTS
from agentsquad.runtime.engine.state import END_EVENTS, millis

TYPES = (*RUN_EVENTS, "effect.planned")
TURN, MANIFEST = "agent-turn", "agent-workflow"
BRIEF, GENERATE, DECIDE, QUERY = "agents.brief", "models.generate", "policy.decide", "policy.query"
PROMPT = ("role", "instructions", "personality", "compliance", "outputSchema")
UNPRICED = "calls of unknown price"
MODEL = ("model", "temperature", "maxTokens", "seed")

Key = tuple[str, str]  # class of feature, name


class Observation(msgspec.Struct, kw_only=True):
    """One run: numbers and words by feature, and the versions it ran under.

    `root` is the run it was started from: those of one root share a machine
    and an hour.
    """

    run: str
    root: str
    started: str
    seq: int
    status: str = "running"
    numbers: dict[Key, float] = {}
    words: dict[Key, list[str]] = {}
    versions: dict[Key, str] = {}

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.status != "running"

    def add(self, kind: str, name: str, amount: float) -> None:
        """Add to a number."""
        self.numbers[(kind, name)] = self.numbers.get((kind, name), 0.0) + amount

    def say(self, kind: str, name: str, word: str) -> None:
        """Add a word."""
        self.words.setdefault((kind, name), []).append(word)


class _Run:
    """What is remembered of one run while events pass."""

    __slots__ = ("agent", "began", "owner", "waits")

    def __init__(self, owner: Observation, agent: str | None, began: int) -> None:
        self.owner = owner
        self.agent = agent
        self.began = began
        self.waits: dict[str, tuple[int, str]] = {}  # position, or signal's name: since, what for


def names_of(body: Mapping[str, Any]) -> tuple[str, Any, str]:
    """Return the name a run goes by, its input as its author knows it, and the
    digest of its definition."""
    value, definition = body.get("input"), str(body.get("definition", ""))
    if isinstance(value, Mapping):
        if body["workflow"] == TURN:
            return str(value.get("agent")), value.get("input"), definition
        if body["workflow"] == MANIFEST:
            return str(value.get("name")), value.get("input"), str(value.get("digest", ""))
    return str(body["workflow"]), value, definition


class Census:
    """Reads events and keeps the runs of one name; also which names there
    are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: dict[str, Observation] = {}
        self.names: dict[str, int] = {}
        self._runs: dict[str, _Run] = {}
        self._spans: dict[str, list[tuple[int, int, str]]] = {}

    def add(self, event: Event) -> None:
        """Fold one event."""
        run = event.stream.removeprefix("run/")
        body = event.payload
        if not isinstance(body, Mapping):
            return
        if event.type == "run.started":
            self._start(run, event, body)
            return
        held = self._runs.get(run)
        if held is None:
            return
        own = held.owner.run == run
        if event.type in END_EVENTS:
            self._end(run, held, own, event, body)
        elif event.type.startswith(("step.", "effect.")):
            self._step(held, own, event, body)
        else:
            self._wait(held, event, body)

    def _start(self, run: str, event: Event, body: Mapping[str, Any]) -> None:
        name, value, definition = names_of(body)
        self.names[name] = self.names.get(name, 0) + 1
        at = millis(event.at)
        agent = name if body["workflow"] == TURN else None
        if name != self.name:
            above = self._runs.get(run.rpartition("/")[0])
            if above is not None:
                self._runs[run] = _Run(above.owner, agent, at)
                if agent is None:
                    above.owner.versions[("definition", name)] = definition
            return
        one = Observation(
            run=run,
            root=run.partition("/")[0],
            started=event.time,
            seq=event.seq,
            numbers={},
            words={},
            versions={("definition", name): definition},
        )
        for kind in ("policy", "registry"):
            one.versions[(kind, "")] = str(body.get(kind) or "")
        _spread(one, "input", "", value)
        self.found[run] = one
        self._runs[run] = _Run(one, agent, at)
        self._spans[run] = []

    def _end(self, run: str, held: _Run, own: bool, event: Event, body: Mapping[str, Any]) -> None:
        at = millis(event.at)
        one = held.owner
        for began, why in held.waits.values():
            self._waited(one, began, at, why)
        del self._runs[run]
        if not own:
            return
        one.status = END_EVENTS[event.type]
        one.say("outcome", "status", one.status)
        error = body.get("error")
        if isinstance(error, Mapping):
            one.say("outcome", "error", str(error.get("code")))
        _spread(one, "outcome", "", body.get("output"))
        spans = self._spans.pop(run)
        one.numbers[("latency", "working")] = at - held.began - _covered(spans)
        people = [span for span in spans if span[2] == "people"]
        if people:
            one.numbers[("waiting", "for people")] = _covered(people)

    def _step(self, held: _Run, own: bool, event: Event, body: Mapping[str, Any]) -> None:
        one = held.owner
        action = str(body.get("action") or "")
        decision = body.get("decision")
        if isinstance(decision, Mapping) and action:
            one.say("decision", f"policy on {action}", _verdict(decision))
        if event.type == "effect.planned":
            one.add("decision", f"calls of {action}", 1)
            return
        name = str(body.get("name") or action)
        error = body.get("error")
        if isinstance(error, Mapping):
            one.say("outcome", f"error in {name}", str(error.get("code")))
        if own and body.get("ms") is not None:
            one.add("latency", f"step {name}", body["ms"])
        for usage in body.get("usage") or ():
            _meter(one, held.agent, usage)
        if action == DECIDE and isinstance(body.get("output"), Mapping):
            asked = (body.get("input") or {}).get("action")
            one.say("decision", f"policy on {asked}", _verdict(body["output"]))
        elif action == QUERY and "output" in body:
            _spread(one, "decision", f"{(body.get('input') or {}).get('path')} ", body["output"])
        elif action == BRIEF and isinstance(body.get("output"), Mapping):
            _brief(one, body["output"])
        elif held.agent is not None and action and action != GENERATE:
            one.add("tool", f"{held.agent}: {action}", 1)

    def _wait(self, held: _Run, event: Event, body: Mapping[str, Any]) -> None:
        one, at = held.owner, millis(event.at)
        position = str(body.get("position"))
        if event.type.startswith("signal."):
            position = f"signal {body.get('name')}"
        if event.type in ("timer.set", "signal.waiting", "approval.requested"):
            asks = event.type == "approval.requested"
            held.waits[position] = (at, "people" if asks else "else")
            if asks:
                one.add("decision", "approvals asked", 1)
                one.say("decision", f"asked about {body.get('action')}", str(body.get("because")))
            return
        if event.type in ("approval.given", "approval.refused"):
            one.say("decision", "people said", event.type.partition(".")[2])
        began = held.waits.pop(position, None)
        if began is not None:
            self._waited(one, began[0], at, began[1])

    def _waited(self, one: Observation, began: int, ended: int, why: str) -> None:
        if one.run in self._spans:  # else it has ended, and only a child of it goes on
            self._spans[one.run].append((began, ended, why))


def _verdict(decision: Mapping[str, Any]) -> str:
    clauses = ", ".join(sorted(map(str, decision.get("clauses") or ())))
    return f"{'allow' if decision.get('allow') else 'deny'} ({clauses})"


def _meter(one: Observation, agent: str | None, usage: Mapping[str, Any]) -> None:
    if usage.get("kind") == "model":
        one.add("tokens", "model calls", 1)
        one.add("tokens", "in", usage.get("input_tokens") or 0)
        one.add("tokens", "out", usage.get("output_tokens") or 0)
        model = f"{usage.get('provider')}/{usage.get('model')}"
        one.versions[("model", agent or "")] = model
    if usage.get("cost_micros") is not None:
        one.add("cost", str(usage.get("currency", "USD")), usage["cost_micros"])
    elif "cost_micros" in usage:
        one.add("cost", UNPRICED, 1)


def _brief(one: Observation, briefing: Mapping[str, Any]) -> None:
    agent, spec = str(briefing.get("name")), briefing.get("spec") or {}
    one.versions[("prompt", agent)] = hashing.digest({k: spec.get(k) for k in PROMPT})
    one.versions[("tool", agent)] = hashing.digest(briefing.get("tools") or [])
    one.versions.setdefault(("model", agent), str(spec.get("model") or "default"))


def _spread(one: Observation, kind: str, before: str, value: Any) -> None:
    for name, leaf in leaves(value):
        full = f"{before}{name}".strip() or "value"
        if isinstance(leaf, str):
            one.say(kind, full, leaf)
        else:
            one.add(kind, full, leaf)


def _covered(spans: Iterable[tuple[int, int, str]]) -> int:
    """Return how long at least one of the spans lasted."""
    total, end = 0, 0
    for began, ended, _ in sorted(spans):
        total += max(0, ended - max(began, end))
        end = max(end, ended)
    return total
