"""The check of what protects an installation: each check fails when its
protection is taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.policy import Decision, Question
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.threats.adapters.surroundings import HomeSurroundings
from agentsquad.trust.threats.check import ATTACKS, Check, run_checks
from agentsquad.trust.threats.contract import Found, Hit
from agentsquad.trust.threats.limit import Rule
from agentsquad.trust.threats.protection import Protection
from agentsquad.trust.threats.ratelimit import DEFAULTS, Limit
from agentsquad.trust.threats.shape import Bounds
from agentsquad.trust.threats.shield import SquadShield


class Rules:
    """Rules that know some of the attacks."""

    about = "rules of a test"

    def __init__(self, known: int) -> None:
        self.known = known
        self.asked = 0

    def inspect(self, hit: Hit) -> list[Found]:
        self.asked += bool(hit.query)
        if not hit.query:
            return []
        return [Found(rule="1", score=5)] if self.asked <= self.known else []


class Answers:
    """A policy that always says the same."""

    revision = "sha256:0"

    def __init__(self, allow: bool) -> None:
        self.allow = allow

    def decide(self, question: Question) -> Decision:
        return Decision(allow=self.allow, reason="a test", revision=self.revision)

    def query(self, path: str, value: Any) -> Any:
        raise AssertionError("nothing is queried")


def checked(
    tmp_path: Path,
    *,
    allow: bool = False,
    rules: Rules | None = None,
    limits: tuple[Limit, ...] = DEFAULTS,
    environment: dict[str, str] | None = None,
    **protection: Any,
) -> dict[str, Check]:
    shield = SquadShield(ManualClock(), SeededEntropy(), inspector=rules)
    shield.put(Protection(**protection))
    shield._counters.replace(limits)
    around = HomeSurroundings(tmp_path, environment or {})
    return {one.name: one for one in run_checks(shield, Answers(allow), around)}


def test_everything_passes_where_everything_is_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = checked(tmp_path, rules=Rules(len(ATTACKS)))
    assert {one.state for one in found.values()} == {"passed", "absent"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("policy denies what no rule allows", {"allow": True}),
        ("an agent approves nothing", {"allow": True}),
        ("errors say nothing of the inside", {"environment": {"SQUAD_DEBUG": "1"}}),
        ("requests have bounds", {"bounds": Bounds(depth=10**9)}),
        ("requests have bounds", {"bounds": Bounds(headers=10**6, headers_bytes=10**9)}),
        ("requests of an address are limited", {"limits": DEFAULTS[1:]}),
        ("calls of an actor too", {"limits": DEFAULTS[:1]}),
        ("machines that try doors are stopped", {"challenge_at": 1_000, "refuse_at": 5_000}),
        ("attack rules know the classic families", {"rules": None}),
        ("attack rules know the classic families", {"rules": Rules(3)}),
        ("attack rules know the classic families", {"rules": Rules(9), "mode": "off"}),
    ],
)
def test_what_is_taken_away_is_missed(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    found = checked(tmp_path, **{"rules": Rules(len(ATTACKS)), **options})
    assert found[name].state == "failed"
    assert found[name].hint


def test_files_that_others_may_read_are_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "log.db").write_bytes(b"")
    (tmp_path / "log.db").chmod(0o644)
    assert "log.db" in checked(tmp_path)["files are their owner's alone"].found
    tmp_path.chmod(0o700)
    assert checked(tmp_path)["files are their owner's alone"].state == "passed"


def test_a_limit_of_any_sort_is_tried_as_it_is(tmp_path: Path) -> None:
    limits = (
        Limit(name="w", rule=Rule(limit=5, window_ms=9, algorithm="sliding-window"), by=("actor",)),
        Limit(name="l", rule=Rule(limit=5, window_ms=9, algorithm="leaky-bucket"), by=("address",)),
    )
    found = checked(tmp_path, limits=limits)
    assert found["calls of an actor too"].state == "passed"
    assert found["requests of an address are limited"].state == "passed"
