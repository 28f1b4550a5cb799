"""Guard: what stands between the squad and something it calls, and the live
state of it.

A `GuardRule` is declared (kind Guard); `Guards` finds the one for a call, the
most specific, and keeps breaker, bulkhead and rations of it: one set for each
value that `by` points to. What a breaker does is written into the log before it
counts, in the stream `breaker/<guard>` or `breaker/<guard>/<value>`, so that
other processes, later ones and `squad why` know it too.
"""

from __future__ import annotations

import contextlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import msgspec

from agentsquad.kernel.errors import (
    BugError,
    ConflictError,
    DeadlineError,
    LimitError,
    MissingError,
    SquadError,
    UnavailableError,
)
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.hashing import digest
from agentsquad.kernel.pointer import get
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.runtime.resilience.breaker import (
    PERSON,
    Breaker,
    BreakerRule,
    Sample,
    quantile,
)
from agentsquad.runtime.resilience.bulkhead import Bulkhead, BulkheadRule
from agentsquad.runtime.resilience.contract import (
    BreakerOpenError,
    BulkheadFullError,
    GuardSource,
)
from agentsquad.runtime.resilience.ration import Ration, RationRule

STREAM = "breaker/"
TYPES = ("breaker.opened", "breaker.half_opened", "breaker.closed")
FRESH_MS = 1_000  # after which it is looked for guards that were applied meanwhile
KEYS_MAX = 1_000  # values of `by` that are kept apart; beyond, the oldest is forgotten
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")
ACTOR = "service:guard"


class HedgeRule(msgspec.Struct, frozen=True, kw_only=True):
    """When a call that takes long is made a second time.

    After `after_ms`, or what `percentile` of the last calls took if that is
    known and more; at most `share` of all calls.
    """

    after_ms: int
    percentile: float | None = None
    share: float = 0.1


class FallbackRule(msgspec.Struct, frozen=True, kw_only=True):
    """What answers in the place of a read that failed: another read, by name,
    or a fixed output."""

    action: str | None = None
    output: Any = None


class GuardRule(msgspec.Struct, frozen=True, kw_only=True):
    """One declared guard; `match` are names of actions, with * for any
    letters."""

    name: str
    match: tuple[str, ...]
    by: str | None = None
    breaker: BreakerRule | None = None
    bulkhead: BulkheadRule | None = None
    hedge: HedgeRule | None = None
    fallback: FallbackRule | None = None
    retries: RationRule | None = None


class Call(NamedTuple):
    """Which step of which run a call is."""

    run: str
    position: str


class Guard:
    """The live state of one guard, for one value of `by`."""

    def __init__(self, rule: GuardRule, key: str, store: EventStore, clock: Clock) -> None:
        self.rule = rule
        self.name = f"{rule.name}/{key}" if key else rule.name
        self._store = store
        self._clock = clock
        self._version = 0
        self.breaker = Breaker(rule.breaker) if rule.breaker else None
        self.bulkhead = Bulkhead(self.name, rule.bulkhead, clock) if rule.bulkhead else None
        self.retries = Ration(rule.retries) if rule.retries else None
        self._hedges = Ration(RationRule(share=rule.hedge.share, minimum=1)) if rule.hedge else None

    def called(self) -> None:
        """Count a call, of which retries and second calls are a share."""
        now = self._clock.monotonic_ms()
        for ration in (self.retries, self._hedges):
            if ration is not None:
                ration.called(now)

    def may_retry(self) -> bool:
        """Whether one more retry may be made, and count it."""
        return self.retries is None or self.retries.allow(self._clock.monotonic_ms())

    async def refuse(self) -> None:
        """Raise BreakerOpenError while no call may be made."""
        if self.breaker is None:
            return
        await self._follow()
        left = self.breaker.blocked(self._clock.now_ms())
        if left is not None:
            raise self._opened(left)

    async def watch(
        self, call: Call, usage: list[dict[str, Any]], made: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Make a call if the breaker lets it through, and take in how it went;
        what it costs is put into `usage` meanwhile."""
        breaker = self.breaker
        if breaker is None:
            return await made()
        await self.refuse()
        change = breaker.asks(self._clock.now_ms())
        if change is not None:
            await self._write(change)
            await self.refuse()
        probe = breaker.enter()
        began, metered, code = self._clock.monotonic_ms(), len(usage), ""
        try:
            output = await made()
        except SquadError as error:
            if _own(error):
                raise
            code = error.code if failing(error) else ""
            await self._took(call, began, usage[metered:], code, probe)
            raise
        finally:
            breaker.leave(probe)
        await self._took(call, began, usage[metered:], code, probe)
        return output

    async def _took(
        self, call: Call, began: float, usage: list[dict[str, Any]], code: str, probe: bool
    ) -> None:
        assert self.breaker is not None
        now = self._clock.monotonic_ms()
        micros = sum(one.get("cost_micros") or 0 for one in usage)
        sample = Sample(now, not code, round(now - began, 3), micros, call.run, call.position, code)
        change = self.breaker.took(sample, probe, self._clock.now_ms())
        if change is not None:
            await self._write(change)

    def hedge_after_ms(self) -> float | None:
        """Return after how long a call is made a second time; None: it is
        not."""
        rule = self.rule.hedge
        if rule is None or self._hedges is None:
            return None
        if rule.percentile is None or self.breaker is None:
            return rule.after_ms
        taken = [one.ms for one in self.breaker.samples if one.ok]
        return max(rule.after_ms, quantile(taken, rule.percentile))

    def may_hedge(self) -> bool:
        """Whether one more second call may be made, and count it."""
        return self._hedges is not None and self._hedges.allow(self._clock.monotonic_ms())

    def _opened(self, left_ms: float) -> BreakerOpenError:
        assert self.breaker is not None
        because = self.breaker.because
        known = left_ms < float("inf")
        return BreakerOpenError(
            f"breaker {self.name} is open: {worded(because)}",
            hint=f"squad why breaker:{self.name}"
            + ("" if known else f"; squad breakers close {self.name} --reason … ends it"),
            details={"breaker": self.name, "sent": False},
            retry_after_ms=int(left_ms) + 1 if known else None,
        )

    # --- the log

    async def _follow(self) -> None:
        """Take in what other processes, or people, wrote."""
        assert self.breaker is not None
        for event in await self._store.read_stream(STREAM + self.name, after=self._version):
            self._version = event.stream_seq
            self.breaker.evolve(event.type, event.payload or {})

    async def _write(self, change: tuple[str, dict[str, Any]]) -> None:
        """Write a change and let it count; nothing, if somebody wrote one
        first."""
        assert self.breaker is not None
        kind, body = change
        stream = STREAM + self.name
        event = NewEvent(
            stream=stream, type=kind, payload={"breaker": self.name, **body}, actor=ACTOR
        )
        with contextlib.suppress(ConflictError):
            await self._store.append([event], expect={stream: self._version})
        await self._follow()


class Guards:
    """Every guard of an installation."""

    def __init__(self, source: GuardSource, store: EventStore, clock: Clock) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._rules: tuple[GuardRule, ...] = ()
        self._read_ms: float | None = None
        self._chosen: dict[str, GuardRule | None] = {}
        self._live: OrderedDict[tuple[str, str], Guard] = OrderedDict()

    def none(self) -> bool:
        """Whether there surely is no guard: it was looked for a moment ago."""
        if self._rules or self._read_ms is None:
            return False
        return self._clock.monotonic_ms() - self._read_ms < FRESH_MS

    async def of(self, action: str, value: Any) -> Guard | None:
        """Return the guard of a call, None if there is none."""
        now = self._clock.monotonic_ms()
        if self._read_ms is None or now - self._read_ms >= FRESH_MS:
            await self._read(now)
        if not self._rules:
            return None
        if action not in self._chosen:
            self._chosen[action] = choose(self._rules, action)
        rule = self._chosen[action]
        return None if rule is None else self._of(rule, key_of(rule, value))

    async def rules(self) -> tuple[GuardRule, ...]:
        """Return the guards as they are declared now."""
        await self._read(self._clock.monotonic_ms())
        return self._rules

    def _of(self, rule: GuardRule, key: str) -> Guard:
        found = self._live.get((rule.name, key))
        if found is None:
            found = self._live[rule.name, key] = Guard(rule, key, self._store, self._clock)
            if len(self._live) > KEYS_MAX:
                self._live.popitem(last=False)
        self._live.move_to_end((rule.name, key))
        return found

    async def _read(self, now: float) -> None:
        self._read_ms = now
        rules = tuple(await self._source.guards())
        if rules != self._rules:
            kept = {rule.name for rule in rules if rule in self._rules}
            for name, key in [one for one in self._live if one[0] not in kept]:
                del self._live[name, key]
            self._rules, self._chosen = rules, {}


def choose(rules: tuple[GuardRule, ...], action: str) -> GuardRule | None:
    """Return the most specific guard for an action: the one with most letters
    that are no *."""
    best: tuple[int, GuardRule] | None = None
    for rule in rules:
        for pattern in rule.match:
            weight = len(pattern) - pattern.count("*")
            if fnmatchcase(action, pattern) and (best is None or weight > best[0]):
                best = (weight, rule)
    return None if best is None else best[1]


def key_of(rule: GuardRule, value: Any) -> str:
    """Return which of a guard's breakers a call belongs to; long or strange
    values by their digest."""
    if rule.by is None:
        return ""
    try:
        found = get(value, rule.by)
    except MissingError:
        return ""
    text = str(found) if isinstance(found, (str, int)) else ""
    return text if _PLAIN.fullmatch(text) else digest(found).removeprefix("sha256:")[:16]


def failing(error: SquadError) -> bool:
    """Whether an error says that the other side is not well; a refusal is an
    answer."""
    return isinstance(error, (UnavailableError, DeadlineError, LimitError, BugError))


def _own(error: SquadError) -> bool:
    """Whether an error comes from here and says nothing of the other side."""
    return isinstance(error, (BreakerOpenError, BulkheadFullError)) or error.code.startswith(
        ("ledger.", "budget.")
    )


def worded(because: Mapping[str, Any]) -> str:
    """Say in words why a breaker opened."""
    measure, value, limit = because.get("measure"), because.get("value"), because.get("limit")
    if measure == PERSON:
        return f"{because.get('by')} opened it: {because.get('reason')}"
    if value is None or limit is None:
        return "it was not well"
    if because.get("probe"):
        return "a probe failed" if measure == "error_rate" else "a probe was too slow"
    samples = because.get("samples") or ()
    if measure == "error_rate":
        bad = sum(not one[1] for one in samples)
        return f"{bad} of {len(samples)} calls failed ({value:.0%}, limit {limit:.0%})"
    if measure == "latency_ms":
        percent = (because.get("rule") or {}).get("percentile", 95)
        took = f"{percent:g} % of {len(samples)} calls took up to {value:g} ms"
        return f"{took} (limit {limit:g} ms)"
    if measure == "cost_micros":
        return f"{len(samples)} calls cost {value / 1e6:.2f} (limit {limit / 1e6:.2f})"
    return f"{value:g} calls at once (limit {limit:g})"
