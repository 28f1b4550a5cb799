"""The shield: everything that is looked at before a request is let in, in the
order of what it costs.

Shape, country, rate, suspicion with its challenge, then attack rules. It keeps
what it counts in memory, so each process of a server counts for itself.
"""

from __future__ import annotations

from collections import Counter

from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.runtime.control.resource import listed
from agentsquad.trust.threats.challenge import HEADER, Challenges, bits_for
from agentsquad.trust.threats.contract import (
    STANDING,
    Hit,
    Inspector,
    Places,
    ProtectionError,
    Verdict,
)
from agentsquad.trust.threats.protection import NAME as PROTECTION
from agentsquad.trust.threats.protection import Protection, protection_of
from agentsquad.trust.threats.quota import USED, Quotas
from agentsquad.trust.threats.ratelimit import (
    DEFAULTS,
    Counters,
    Limit,
    headers_of,
    limit_of,
    within,
)
from agentsquad.trust.threats.ratelimit import NAME as RATE_LIMIT
from agentsquad.trust.threats.shape import misshapen
from agentsquad.trust.threats.suspicion import ENDED, RULE, Suspicions, looks

PASS = Verdict()
GRACE = 40  # points that a proof of the least work takes away
INSPECTED_MAX = 128 * 1024  # bytes of a body; rules would take too long over more
NEVER_MS = 3_600_000  # told where waiting alone does not help


class SquadShield:
    """The shield of one server process."""

    def __init__(
        self,
        clock: Clock,
        entropy: Entropy,
        *,
        inspector: Inspector | None = None,
        places: Places | None = None,
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._inspector = inspector
        self._places = places
        self._challenges = Challenges(clock, entropy)
        self._counters = Counters(DEFAULTS)
        self._suspicions = Suspicions()
        self._quotas = Quotas(entropy.token(6).hex())
        self._protection = Protection()
        self._read = -1
        self.told: Counter[str] = Counter()

    @property
    def protection(self) -> Protection:
        """What is in force."""
        return self._protection

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The rate limits in force."""
        return self._counters.limits

    def twin(self) -> SquadShield:
        """Return a shield of the same rules that has counted nothing yet."""
        made = SquadShield(
            self._clock, self._entropy, inspector=self._inspector, places=self._places
        )
        made._counters.replace(self.limits)
        made.put(self._protection)
        return made

    @property
    def inspector(self) -> Inspector | None:
        """What looks for attacks."""
        return self._inspector

    def put(self, protection: Protection) -> None:
        """Put a protection in force, or raise ProtectionError."""
        if (protection.allow or protection.deny) and self._places is None:
            raise ProtectionError(
                "countries are named, but no database says where addresses are",
                hint="SQUAD_GEO names a file in MaxMind's format",
            )
        if protection.mode == "block" and self._inspector is None:
            raise ProtectionError(
                "attack rules are to block, but there are none",
                hint="SQUAD_WAF_RULES names the folder of the OWASP Core Rule Set",
            )
        if protection.fade != self._protection.fade:
            self._suspicions = Suspicions(protection.fade)
        self._protection = protection

    async def refresh(self, store: EventStore) -> bool:
        """Read limits and protection anew where the log has grown, and keep
        what was used of quotas there."""
        await self._keep_quotas(store)
        size = await store.size()
        if size == self._read:
            return False
        declared = {
            one["metadata"]["name"]: limit_of(one["metadata"]["name"], one["spec"])
            for one in await listed(store, RATE_LIMIT)
        }
        rest = [one for one in DEFAULTS if one.name not in declared]
        limits = (*declared.values(), *rest)
        found = await listed(store, PROTECTION)
        protection = protection_of(found[0]["spec"]) if found else Protection()
        changed = limits != self._counters.limits or protection != self._protection
        self._read = size  # what cannot be kept is said once
        if limits != self._counters.limits:
            self._counters.replace(limits)
        if protection != self._protection:
            self.put(protection)
        return changed

    async def _keep_quotas(self, store: EventStore) -> None:
        quotas, size = self._quotas, await store.size()
        if size > quotas.place:
            after = max(0, quotas.place)
            events = await store.read(after=after, limit=size + 1, types=(USED,))
            quotas.hear(events, max(size, events[-1].seq if events else 0))
        quotas.forget(self._clock.now_ms())
        used = quotas.unsaved()
        if used:
            await store.append(used)
            quotas.saved(used)

    # --- the port

    @property
    def reads(self) -> bool:
        """Whether it looks at what calls bring along."""
        return self._inspector is not None and self._protection.mode != "off"

    def outer(self, hit: Hit) -> Verdict:
        """Judge what anybody may send."""
        protection = self._protection
        wrong = misshapen(hit, protection.bounds)
        if wrong:
            return self._tell("refuse", tuple(f"shape.{name}" for name in wrong))
        if (protection.allow or protection.deny) and self._places is not None:
            country = self._places.country(hit.address)
            if country in protection.deny or (protection.allow and country not in protection.allow):
                return self._tell("refuse", ("country." + (country or "unknown"),))
        counted = self._rate(hit, later=False)
        if counted.answer != "pass":
            return counted
        trusted = within(hit.address, protection.trusted)
        if not trusted:
            doubted = self._doubt(hit)
            if doubted.answer != "pass":
                return doubted
        attacked = self._inspect(hit, trusted)
        return counted if attacked.answer == "pass" else attacked

    def inner(self, hit: Hit) -> Verdict:
        """Judge what a known actor sends: how often, and what it brings
        along by whatever protocol."""
        counted = self._rate(hit, later=True)
        if counted.answer != "pass" or not hit.body:
            return counted
        attacked = self._inspect(hit, within(hit.address, self._protection.trusted))
        return counted if attacked.answer == "pass" else attacked

    def ended(self, hit: Hit, status: int) -> None:
        """Hear how a request ended."""
        points = ENDED.get(status, 0)
        if status == 404:  # nobody was there to look at its path
            points += sum(given for _, given in looks(hit))
        if points and not within(hit.address, self._protection.trusted):
            self._suspicions.add(hit.address, points, self._now())

    # --- one look after the other

    def _now(self) -> int:
        return int(self._clock.monotonic_ms())

    def _rate(self, hit: Hit, *, later: bool) -> Verdict:
        found = self._counters.count(hit, self._now(), later=later)
        if not found or found[-1].outcome.passes:
            limits = self._counters.limits
            found += self._quotas.count(limits, hit, self._clock.now_ms(), later=later)
        if not found:
            return PASS
        headers = headers_of(found)
        STANDING.set(headers)
        last = found[-1]
        if last.outcome.passes:
            return Verdict(headers=headers)
        wait = NEVER_MS if last.outcome.retry_ms is None else last.outcome.retry_ms
        return self._tell("refuse", (f"rate.{last.limit.name}",), headers=headers, wait=wait)

    def _doubt(self, hit: Hit) -> Verdict:
        protection, now, address = self._protection, self._now(), hit.address
        signals = looks(hit)
        for _, given in signals:
            self._suspicions.add(address, given, now)
        points = self._suspicions.points(address, now)
        if points < protection.challenge_at:
            return PASS
        proof = hit.headers.get(HEADER)
        if proof:
            bits = self._challenges.proven(proof, address)
            if bits:
                left = self._suspicions.add(address, -(GRACE + 10 * (bits - 14)), now)
                if left < protection.refuse_at:
                    return PASS
        rules = tuple(name for name, _ in signals) or ("bot.points",)
        if points >= protection.refuse_at:
            excess = points - protection.refuse_at + 1
            return self._tell(
                "refuse", rules, score=points, wait=excess * 60_000 // protection.fade
            )
        challenge = self._challenges.give(address, bits_for(points, protection.challenge_at))
        return self._tell("challenge", rules, score=points, challenge=challenge)

    def _inspect(self, hit: Hit, trusted: bool) -> Verdict:
        protection = self._protection
        if self._inspector is None or protection.mode == "off" or len(hit.body) > INSPECTED_MAX:
            return PASS
        route = hit.route or hit.path
        found = [
            one
            for one in self._inspector.inspect(hit)
            if not any(out.holds(route, one.rule) for out in protection.exclude)
        ]
        score = sum(one.score for one in found)
        if score < protection.threshold:
            return PASS
        rules = tuple(dict.fromkeys(f"crs.{one.rule}" for one in found if one.score))
        if protection.mode == "log":
            return self._tell("log", rules, score=score)
        if not trusted:
            self._suspicions.add(hit.address, RULE, self._now())
        return self._tell("refuse", rules, score=score)

    def _tell(
        self,
        answer: str,
        rules: tuple[str, ...],
        *,
        score: int = 0,
        wait: int | None = None,
        challenge: str = "",
        headers: dict[str, str] | None = None,
    ) -> Verdict:
        self.told.update(rules)
        return Verdict(
            answer=answer,  # type: ignore[arg-type]
            rules=rules,
            score=score,
            retry_after_ms=wait,
            headers=headers or {},
            challenge=challenge,
        )
