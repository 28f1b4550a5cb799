"""The shield: what it lets in, what it refuses and why, and that it forgets."""

from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.errors import LimitError
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.threats.challenge import BITS_MAX, Challenges, bits_for, solve, zero_bits
from agentsquad.trust.threats.contract import (
    STANDING,
    ChallengeError,
    Found,
    Hit,
    ProtectionError,
    ShieldError,
    Verdict,
    refusal,
)
from agentsquad.trust.threats.limit import Rule
from agentsquad.trust.threats.protection import KIND as PROTECTION
from agentsquad.trust.threats.protection import Exclusion, Protection, protection_of
from agentsquad.trust.threats.ratelimit import (
    KIND,
    Counters,
    Limit,
    limit_of,
    neighbourhood,
    within,
)
from agentsquad.trust.threats.shape import Bounds, depth_of, misshapen
from agentsquad.trust.threats.shield import SquadShield
from agentsquad.trust.threats.suspicion import Suspicions, looks

ADDRESS = "203.0.113.9"
AGENT = {"user-agent": "python-httpx/0.28"}


def hit(path: str = "/v1/runs", **fields: Any) -> Hit:
    given = {"surface": "rest", "method": "GET", "headers": AGENT, "address": ADDRESS, **fields}
    return Hit(path=path, **given)


class Rules:
    """An inspector that finds the rules named in the query."""

    about = "rules of a test"

    def inspect(self, hit: Hit) -> list[Found]:
        return [Found(rule=one, score=5) for one in hit.query.split(",") if one]


class Atlas:
    """Countries by the first number of an address."""

    def country(self, address: str) -> str:
        return {"203": "NZ", "198": "US"}.get(address.partition(".")[0], "")


def shield(**protection: Any) -> SquadShield:
    made = SquadShield(ManualClock(), SeededEntropy(), inspector=Rules(), places=Atlas())
    made.put(Protection(**protection))
    return made


def test_an_ordinary_request_passes_with_its_standing() -> None:
    verdict = shield().outer(hit())
    assert verdict.answer == "pass"
    assert verdict.headers == {
        "RateLimit-Policy": '"address";q=6000;w=60',
        "RateLimit": '"address";r=999;t=1',
    }
    assert STANDING.get() == verdict.headers


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (hit("/" + "a" * 5_000), "shape.path"),
        (hit(query="a" * 20_000), "shape.query"),
        (hit(headers={f"x-{n}": "1" for n in range(101)}), "shape.headers"),
        (hit(headers={"x": "1" * 20_000}), "shape.header"),
        (hit(headers={f"x-{n}": "1" * 9_000 for n in range(9)}), "shape.headers_bytes"),
        (hit(headers={"content-length": "9" * 12}), "shape.body"),
        (hit("/a\nb"), "shape.control"),
        (hit(headers={"content-type": "application/json"}, body=b"[" * 200), "shape.depth"),
    ],
)
def test_a_request_of_no_ordinary_shape_is_refused(request_: Hit, name: str) -> None:
    verdict = shield().outer(request_)
    assert (verdict.answer, verdict.rules) == ("refuse", (name,))
    assert isinstance(refusal(verdict), ShieldError)


def test_depth_is_that_of_brackets_outside_strings() -> None:
    assert depth_of(b'{"a":[{"b":"[[[[{{\\"["}]}', 100) == 3
    assert depth_of(b"[" * 10_000_000, 128) == 129
    assert depth_of(b'"' + b"[" * 1_000, 100) <= 101
    assert misshapen(hit(body=b"[" * 500), Bounds()) == []  # says that it is no JSON


async def test_too_many_requests_wait_as_long_as_they_are_told() -> None:
    guard = shield()
    for _ in range(1_000):
        assert guard.outer(hit()).answer == "pass"
    verdict = guard.outer(hit())
    error = refusal(verdict)
    assert verdict.rules == ("rate.address",)
    assert isinstance(error, LimitError)
    assert error.retry_after_ms == 10
    assert verdict.headers["RateLimit"] == '"address";r=0;t=1'
    assert guard.outer(hit(address="198.51.100.1")).answer == "pass"
    clock: ManualClock = guard._clock  # type: ignore[assignment]
    await clock.advance(10)
    assert guard.outer(hit()).answer == "pass"


def test_what_an_actor_does_is_counted_by_action_and_cost() -> None:
    spec = {
        "limit": 10,
        "per": "1m",
        "by": ["actor"],
        "match": {"actions": ["runs.*"], "actors": ["service:*"]},
        "costs": {"runs.start": 4},
        "algorithm": "sliding-window",
    }
    assert KIND.check is not None
    assert KIND.check(spec) == []
    counters = Counters([limit_of("runs", spec)])

    def count(action: str, actor: str = "service:nightly") -> list[bool]:
        asked = hit(action, route=action, actor=actor)
        assert counters.count(asked, 0, later=False) == []
        return [one.outcome.passes for one in counters.count(asked, 0, later=True)]

    assert [count("runs.start") for _ in range(3)] == [[True], [True], [False]]
    assert [count("runs.list") for _ in range(3)] == [[True], [True], [False]]
    assert count("runs.start", "service:other") == [True]
    assert count("runs.start", "person:ada") == []
    assert count("edi.check") == []


def test_limits_that_did_not_change_go_on_counting() -> None:
    one = Limit(name="one", rule=Rule(limit=1, window_ms=1000))
    two = Limit(name="two", rule=Rule(limit=1, window_ms=1000))
    counters = Counters([one])
    counters.count(hit(), 0, later=False)
    counters.replace([one, two])
    passes = [(c.limit.name, c.outcome.passes) for c in counters.count(hit(), 0, later=False)]
    assert passes == [("one", False)]
    counters.replace([two])
    assert [c.outcome.passes for c in counters.count(hit(), 0, later=False)] == [True]


def test_keys_that_are_counted_are_bounded() -> None:
    counters = Counters([Limit(name="a", rule=Rule(limit=9, window_ms=9), by=("address",))], 10)
    for number in range(100):
        counters.count(hit(address=f"203.0.113.{number}"), 0, later=False)
    assert len(counters._states["a"]) == 10


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"limit": 1, "per": "soon"}, "/per"),
        ({"limit": 1, "per": "0s"}, "/per"),
        ({"limit": 1, "per": "1m", "except": ["x"]}, "/except/0"),
        ({"limit": 1, "per": "1m", "match": {"addresses": ["1.2.3.4/40"]}}, "/match/addresses/0"),
        ({"limit": 1, "per": "1m", "algorithm": "sliding-window", "burst": 3}, "/burst"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused(spec: dict[str, Any], pointer: str) -> None:
    assert KIND.check is not None
    assert [one[0] for one in KIND.check(spec)] == [pointer]


def test_addresses_are_counted_as_one_customer_has_them() -> None:
    assert neighbourhood("2001:db8:1:2:3::9") == neighbourhood("2001:db8:1:2:ffff::1")
    assert neighbourhood("2001:db8:1:3::9") != neighbourhood("2001:db8:1:2::9")
    assert neighbourhood("::ffff:203.0.113.9") == "203.0.113.9"
    assert neighbourhood("nonsense") == "nonsense"
    assert within("::ffff:10.1.2.3", ("10.0.0.0/8",))
    assert within("::1", ("::1/128",))
    assert not within("", ("0.0.0.0/0",))


# --- suspicion and challenge


def test_scanners_are_seen_by_their_paths_and_names() -> None:
    assert [name for name, _ in looks(hit("/.git/config"))] == ["bot.path"]
    assert [name for name, _ in looks(hit("/wp-login.php"))] == ["bot.path"]
    assert [name for name, _ in looks(hit(headers={"user-agent": "sqlmap/1.8"}))] == ["bot.tool"]
    assert looks(hit("/v1/namespaces/default/Agent/environment-keeper")) == []
    assert looks(hit("/.well-known/agent-card.json")) == []
    assert looks(hit("/v1/actions/runs.list")) == []


def test_points_fade_evenly_and_are_forgotten() -> None:
    points = Suspicions(per_minute=6)
    assert points.add(ADDRESS, 60, 0) == 60
    assert points.points(ADDRESS, 60_000) == 54
    assert points.points(ADDRESS, 600_000) == 0
    assert points.add(ADDRESS, -10, 600_000) == 0
    assert len(points) == 0
    few = Suspicions(most=2)
    for number in range(9):
        few.add(f"203.0.113.{number}", 5, 0)
    assert len(few) == 2


def test_who_tries_doors_must_work_and_then_may_go_on() -> None:
    guard = shield()
    verdicts = [guard.outer(hit("/.env")).answer for _ in range(3)]
    assert verdicts == ["pass", "pass", "challenge"]
    verdict = guard.outer(hit())
    error = refusal(verdict)
    assert isinstance(error, ChallengeError)
    proof = solve(str(error.details["challenge"]))
    assert guard.outer(hit(headers={**AGENT, "squad-proof": proof})).answer == "pass"
    assert guard.outer(hit()).answer == "pass"
    assert guard.outer(hit(address="198.51.100.7")).answer == "pass"


def test_who_goes_on_and_on_is_refused_for_a_while() -> None:
    guard = shield()
    for _ in range(80):
        guard.ended(hit(), 401)
    verdict = guard.outer(hit())
    assert verdict.answer == "refuse"
    assert isinstance(refusal(verdict), LimitError)


def test_a_client_that_waits_for_something_to_appear_is_not_suspected() -> None:
    guard = shield()
    for _ in range(500):
        guard.ended(hit(), 404)
        guard.ended(hit(), 429)
        guard.ended(hit(), 200)
    assert guard.outer(hit()).answer == "pass"


def test_doors_that_nobody_is_behind_are_counted_too() -> None:
    guard = shield()
    for _ in range(3):
        guard.ended(hit("/.git/config"), 404)
    assert guard.outer(hit()).answer == "challenge"


def test_this_machine_is_not_suspected_unless_said_otherwise() -> None:
    guard = shield()
    for _ in range(80):
        guard.ended(hit(address="127.0.0.1"), 401)
    assert guard.outer(hit("/.env", address="127.0.0.1")).answer == "pass"
    strict = shield(trusted=())
    for _ in range(80):
        strict.ended(hit(address="127.0.0.1"), 401)
    assert strict.outer(hit(address="127.0.0.1")).answer == "refuse"


async def test_a_proof_holds_once_for_its_address_and_not_for_long() -> None:
    clock = ManualClock()
    challenges = Challenges(clock, SeededEntropy())
    proof = solve(challenges.give(ADDRESS, 10))
    assert challenges.proven(proof, "198.51.100.7") == 0
    assert challenges.proven(proof, ADDRESS) == 10
    assert challenges.proven(proof, ADDRESS) == 0
    late = solve(challenges.give(ADDRESS, 10))
    await clock.advance(120_001)
    assert challenges.proven(late, ADDRESS) == 0


@pytest.mark.parametrize(
    "proof",
    [
        "",
        ":",
        "a:b",
        "v1.a.b.c.d:1",
        "x" * 400 + ":1",
        "v1.ä.1.10.m:1",
        "v1.n.99999999999999.0.m:1",
    ],
)
def test_what_is_no_proof_proves_nothing(proof: str) -> None:
    assert Challenges(ManualClock(), SeededEntropy()).proven(proof, ADDRESS) == 0


def test_an_easier_challenge_cannot_be_made_of_a_harder_one() -> None:
    challenges = Challenges(ManualClock(), SeededEntropy())
    parts = challenges.give(ADDRESS, 20).split(".")
    parts[3] = "1"
    assert challenges.proven(solve(".".join(parts)), ADDRESS) == 0


def test_work_doubles_with_points_up_to_a_limit() -> None:
    assert [bits_for(points, 60) for points in (0, 60, 85, 110)] == [14, 14, 15, 16]
    assert bits_for(100_000, 60) == BITS_MAX
    assert zero_bits(b"\x00\x0f") == 12


# --- countries and attack rules


def test_countries_are_denied_or_allowed() -> None:
    assert shield(deny=("NZ",)).outer(hit()).rules == ("country.NZ",)
    assert shield(deny=("US",)).outer(hit()).answer == "pass"
    assert shield(allow=("NZ",)).outer(hit()).answer == "pass"
    assert shield(allow=("US",)).outer(hit(address="192.0.2.1")).rules == ("country.unknown",)


def test_attack_rules_are_off_remembered_or_refused() -> None:
    attack = hit(query="942100,932100")
    assert shield(mode="off").outer(attack).answer == "pass"
    remembered = shield(mode="log").outer(attack)
    assert (remembered.answer, remembered.score) == ("log", 10)
    assert refusal(remembered) is None
    refused = shield(mode="block").outer(attack)
    assert (refused.answer, refused.rules) == ("refuse", ("crs.942100", "crs.932100"))
    assert shield(mode="block", threshold=11).outer(attack).answer == "pass"


def test_what_calls_bring_along_is_looked_at_where_there_are_rules() -> None:
    call = hit("edi.check", method="CALL", route="edi.check", query="942100", body=b"{}")
    assert shield(mode="block").inner(call).answer == "refuse"
    assert shield(mode="block").reads
    assert shield(mode="off").inner(call).answer == "pass"
    assert not shield(mode="off").reads
    large = hit(method="CALL", query="942100", body=b" " * 200_000)
    assert shield(mode="block").inner(large).answer == "pass"


def test_rules_do_not_count_where_they_are_excluded() -> None:
    guard = shield(mode="block", exclude=(Exclusion(routes=("/v1/actions/*",), rules=("942*",)),))
    assert guard.outer(hit(query="942100", route="/v1/actions/{name}")).answer == "pass"
    assert guard.outer(hit(query="942100", route="/v1/runs")).answer == "refuse"
    assert guard.outer(hit(query="932100", route="/v1/actions/{name}")).answer == "refuse"


def test_what_is_asked_for_must_be_there() -> None:
    bare = SquadShield(ManualClock(), SeededEntropy())
    with pytest.raises(ProtectionError, match="database"):
        bare.put(Protection(deny=("XX",)))
    with pytest.raises(ProtectionError, match="rules"):
        bare.put(Protection(mode="block"))
    assert bare.outer(hit(query="942100")).answer == "pass"


def test_a_protection_is_read_as_it_is_declared() -> None:
    spec = {
        "rules": {"mode": "block", "exclude": [{"routes": ["/a"], "rules": ["942*"]}]},
        "countries": {"deny": ["XX"]},
        "suspicion": {"challenge": 10, "refuse": 20, "fade": 1},
        "trusted": ["10.0.0.0/8"],
        "bounds": {"depth": 8},
    }
    assert PROTECTION.check is not None
    assert PROTECTION.check(spec) == []
    found = protection_of(spec)
    assert (found.mode, found.deny, found.refuse_at, found.bounds.depth) == (
        "block",
        ("XX",),
        20,
        8,
    )
    wrong = {"trusted": ["x"], "suspicion": {"challenge": 400}}
    assert [one[0] for one in PROTECTION.check(wrong)] == [
        "/trusted/0",
        "/suspicion/challenge",
    ]
    assert protection_of({}) == Protection()


def test_a_verdict_that_lets_go_raises_nothing() -> None:
    assert refusal(Verdict()) is None
    assert refusal(Verdict(answer="log")) is None
