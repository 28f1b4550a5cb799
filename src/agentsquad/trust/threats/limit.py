"""Limits: how many may pass in a time, as pure state machines over an explicit
now in whole milliseconds.

Three algorithms, all in integers, so that nothing is lost to rounding:

- token bucket: tokens flow in evenly; `burst` of them may wait. In any stretch
  of d milliseconds at most burst + limit * d / window pass.
- leaky bucket: the same law with a burst of one: what passes is evenly spaced.
- sliding window (runtime/resilience/rate): in any window at most `limit` pass,
  none of the doubling at edges that fixed windows and full buckets allow.

Law of all three: what is refused changes nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agentsquad.runtime.resilience.rate import NOTHING, Rate, Spent, earliest, reserve

Algorithm = Literal["token-bucket", "leaky-bucket", "sliding-window"]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """At most `limit` in `window_ms`; `burst` at once, for the buckets."""

    limit: int
    window_ms: int
    algorithm: Algorithm = "token-bucket"
    burst: int = 0

    @property
    def depth(self) -> int:
        """How much a bucket holds."""
        if self.algorithm == "leaky-bucket":
            return max(1, self.burst)
        return self.burst or self.limit


class Bucket(msgspec.Struct, frozen=True):
    """What is in a bucket, in tokens times milliseconds of the window, and
    when that was so."""

    level: int
    at_ms: int


State = Bucket | Spent


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it may pass: `remaining` could pass at once after it, all of the
    limit can after `reset_ms`, and after `retry_ms` it may pass itself (None:
    never)."""

    passes: bool
    remaining: int
    reset_ms: int
    retry_ms: int | None = 0


def take(rule: Rule, state: State | None, now_ms: int, cost: int = 1) -> tuple[State, Outcome]:
    """Return the state after `cost` was asked for, and whether it may pass."""
    if rule.algorithm == "sliding-window":
        return _slide(rule, state if isinstance(state, Spent) else NOTHING, now_ms, cost)
    return _pour(rule, state if isinstance(state, Bucket) else None, now_ms, cost)


def _pour(rule: Rule, state: Bucket | None, now_ms: int, cost: int) -> tuple[State, Outcome]:
    full = rule.depth * rule.window_ms
    if state is None:
        level, now = full, now_ms
    else:
        now = max(now_ms, state.at_ms)  # a clock that goes back gives nothing
        level = min(full, state.level + (now - state.at_ms) * rule.limit)
    price = cost * rule.window_ms
    if price <= level:
        left = level - price
        return Bucket(left, now), Outcome(
            passes=True,
            remaining=left // rule.window_ms,
            reset_ms=-(-(full - left) // rule.limit),
        )
    return Bucket(level, now), Outcome(
        passes=False,
        remaining=level // rule.window_ms,
        reset_ms=-(-(full - level) // rule.limit),
        retry_ms=None if price > full else -(-(price - level) // rule.limit),
    )


def _slide(rule: Rule, spent: Spent, now_ms: int, cost: int) -> tuple[State, Outcome]:
    rate = Rate(rule.limit, rule.window_ms)
    moment = earliest(rate, spent, now_ms, cost)
    passes = moment is not None and moment <= now_ms
    if passes:
        spent = reserve(rate, spent, now_ms, cost)
    live = [slot for slot in spent.slots if slot[1] > now_ms - rule.window_ms]
    used = sum(slot[2] for slot in live)
    return spent, Outcome(
        passes=passes,
        remaining=max(0, rule.limit - used),
        reset_ms=max(0, live[-1][1] + rule.window_ms - now_ms) if live else 0,
        retry_ms=0 if passes else None if moment is None else moment - now_ms,
    )
