"""Breaker: when calls to something that is not well are not made for a while,
as a pure state machine over an explicit now.

The states are those of Nygard's "Release It!": closed (calls pass and are
watched), open (they are refused), half-open (a few probes pass and decide).
What opens it is judged over a window of the last calls, bounded in time and
number: the share that failed, a percentile of how long they took, what they
cost, and how many were under way at once.

Every change of state is a fact of the log (`breaker.opened` with the calls it
was judged by, `breaker.half_opened`, `breaker.closed`); `evolve` is the only
way the state changes, whoever wrote the fact.

Laws:
    1. It opens only on what `judge` says of a window of at least `minimum`
       calls, or on too many at once, or because a person says so.
    2. While open nothing passes before `until_ms`; what a person opened stays
       open until a person closes it.
    3. Half-open, at most `probes` calls are under way; all of them must go
       well to close it, one that does not opens it for twice as long.
    4. A learned limit never lies above one that is set.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
PERSON = "person"
_LEARN = 0.2  # weight of a new window in what is learned
_WINDOWS = 3  # windows after which what was learned counts
_SPREADS = 16.0  # how often an open breaker may double its time, as a factor


class BreakerRule(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and for how long; None leaves a measure out.

    `error_rate` is a share from 0 to 1 and `percentile` from 0 to 100;
    `adaptive` is how many times what is usual is too much.
    """

    window_ms: int = 60_000
    calls: int = 100
    minimum: int = 10
    error_rate: float | None = 0.5
    percentile: float = 95.0
    latency_ms: float | None = None
    cost_micros: int | None = None
    concurrency: int | None = None
    adaptive: float | None = None
    open_ms: int = 30_000
    probes: int = 3


class Sample(NamedTuple):
    """One call that has ended; `at_ms` is when, by a clock that never goes
    back."""

    at_ms: float
    ok: bool
    ms: float
    micros: int
    run: str
    position: str
    error: str


class Learned(msgspec.Struct, frozen=True):
    """What is usual, from windows in which all was well."""

    windows: int = 0
    error_rate: float = 0.0
    latency_ms: float = 0.0


class Finding(NamedTuple):
    """Why a breaker opens: `value` of `measure` is above `limit`."""

    measure: str
    value: float
    limit: float


def quantile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of some values; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def limits(rule: BreakerRule, learned: Learned, calls: int) -> dict[str, float]:
    """Return what is too much, by measure: as set, or less where that was
    learned."""
    found: dict[str, float] = {}
    known = rule.adaptive is not None and learned.windows >= _WINDOWS
    if rule.error_rate is not None:
        found["error_rate"] = rule.error_rate
        if known:
            usual = learned.error_rate
            spread = math.sqrt(max(usual * (1 - usual), 1 / calls) / calls)
            found["error_rate"] = min(rule.error_rate, usual + (rule.adaptive or 0) * spread)
    if rule.latency_ms is not None:
        found["latency_ms"] = rule.latency_ms
        if known:
            usual_ms = learned.latency_ms * (rule.adaptive or 0)
            found["latency_ms"] = min(rule.latency_ms, usual_ms)
    if rule.cost_micros is not None:
        found["cost_micros"] = float(rule.cost_micros)
    return found


def judge(rule: BreakerRule, learned: Learned, samples: Sequence[Sample]) -> Finding | None:
    """Say what is too much in a window, the worst of several; None when all is
    well."""
    size = len(samples)
    if size == 0:
        return None
    worst: Finding | None = None
    for measure, limit in limits(rule, learned, size).items():
        if measure == "cost_micros":
            value = float(sum(one.micros for one in samples))
        elif size < rule.minimum:
            continue  # a few calls say nothing; money that is gone is gone
        elif measure == "error_rate":
            value = sum(not one.ok for one in samples) / size
        else:
            value = quantile([one.ms for one in samples], rule.percentile)
        above = value >= limit if measure == "error_rate" and value else value > limit
        if above and (worst is None or value / (limit or 1e-9) > worst.value / (worst.limit or 1)):
            worst = Finding(measure, value, limit)
    return worst


class Breaker:
    """One breaker; `now_ms` is by the wall clock, so that times mean something
    in every process."""

    def __init__(self, rule: BreakerRule) -> None:
        self.rule = rule
        self.state = CLOSED
        self.until_ms: float | None = None
        self.because: Mapping[str, Any] = {}
        self.learned = Learned()
        self.under_way = 0
        self.samples: deque[Sample] = deque()
        self._fresh = 0  # calls since something was last learned
        self._probes = 0  # under way while half-open
        self._well = 0  # probes that went well
        self._streak = 0  # times it opened without closing in between

    # --- asking: may a call be made

    def blocked(self, now_ms: float) -> float | None:
        """Return for how long no call may be made; None if one may."""
        if self.state == OPEN:
            if self.until_ms is None:
                return math.inf
            # A wall clock may jump back; that keeps nothing open for long.
            left = min(self.until_ms - now_ms, self.rule.open_ms * _SPREADS)
            return left if left > 0 else None
        if self.state == HALF_OPEN and self._probes >= self.rule.probes:
            return float(self.rule.open_ms) / 10
        return None

    def asks(self, now_ms: float) -> tuple[str, dict[str, Any]] | None:
        """Return the change of state that a call which is about to be made
        brings, as an event; None for none."""
        if self.state == OPEN and self.blocked(now_ms) is None:
            return "breaker.half_opened", {"probes": self.rule.probes}
        most = self.rule.concurrency
        if self.state == CLOSED and most is not None and self.under_way >= most:
            return self._open(now_ms, Finding("concurrency", self.under_way + 1, most))
        return None

    def enter(self) -> bool:
        """Count a call that is made now; return whether it is a probe."""
        self.under_way += 1
        probe = self.state == HALF_OPEN
        self._probes += probe
        return probe

    # --- taking: how a call went

    def leave(self, probe: bool) -> None:
        """Count a call that has ended, however."""
        self.under_way -= 1
        if probe and self._probes:
            self._probes -= 1

    def took(self, sample: Sample, probe: bool, now_ms: float) -> tuple[str, dict[str, Any]] | None:
        """Take in how a call went; return the change it brings, as an event."""
        if self.state == HALF_OPEN:
            return self._probed(sample, now_ms) if probe else None
        if self.state == OPEN:
            return None  # it was made before; what it says is known already
        self.samples.append(sample)
        oldest = sample.at_ms - self.rule.window_ms
        while len(self.samples) > self.rule.calls or self.samples[0].at_ms <= oldest:
            self.samples.popleft()
        found = judge(self.rule, self.learned, self.samples)
        if found is not None:
            return self._open(now_ms, found)
        self._learn()
        return None

    def _probed(self, sample: Sample, now_ms: float) -> tuple[str, dict[str, Any]] | None:
        slow = self.rule.latency_ms is not None and sample.ms > self.rule.latency_ms
        if not sample.ok or slow:
            found = (
                Finding("latency_ms", sample.ms, self.rule.latency_ms or 0)
                if sample.ok
                else Finding("error_rate", 1.0, 0.0)
            )
            self.samples.append(sample)
            return self._open(now_ms, found, probe=True)
        self._well += 1
        if self._well < self.rule.probes:
            return None
        return "breaker.closed", {"probes": self._well}

    def _open(
        self, now_ms: float, found: Finding, *, probe: bool = False
    ) -> tuple[str, dict[str, Any]]:
        factor = min(2.0**self._streak, _SPREADS)
        return "breaker.opened", {
            "measure": found.measure,
            "value": round(found.value, 6),
            "limit": round(found.limit, 6),
            "probe": probe,
            "until_ms": int(now_ms + self.rule.open_ms * factor),
            "rule": msgspec.to_builtins(self.rule),
            "learned": msgspec.to_builtins(self.learned),
            "samples": [list(one) for one in self.samples],
        }

    def _learn(self) -> None:
        """Take a window in which all was well for what is usual."""
        self._fresh += 1
        if self.rule.adaptive is None or self._fresh < max(self.rule.minimum, 1):
            return
        self._fresh = 0
        rate = sum(not one.ok for one in self.samples) / len(self.samples)
        taken = quantile([one.ms for one in self.samples], self.rule.percentile)
        was = self.learned
        weight = _LEARN if was.windows else 1.0
        self.learned = Learned(
            was.windows + 1,
            was.error_rate + weight * (rate - was.error_rate),
            was.latency_ms + weight * (taken - was.latency_ms),
        )

    # --- what became of it

    def evolve(self, kind: str, body: Mapping[str, Any]) -> None:
        """Change the state as an event says."""
        if kind == "breaker.opened":
            self.state, self.until_ms, self.because = OPEN, body.get("until_ms"), body
            self._streak += 1
        elif kind == "breaker.half_opened":
            self.state = HALF_OPEN
        else:
            self.state, self.until_ms, self.because = CLOSED, None, {}
            self._streak = 0
        self.samples.clear()
        self._probes = self._well = self._fresh = 0
