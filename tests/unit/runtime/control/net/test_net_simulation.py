"""Simulation agrees with queueing theory, and with itself."""

from __future__ import annotations

import pytest

from agentsquad.runtime.control.net.contract import Simulation
from agentsquad.runtime.control.net.manifest import UNKNOWN, manifest_flow
from agentsquad.runtime.control.net.simulate import Model, StepModel, simulate


def run(nodes: list[dict[str, object]], model: Model, cases: int = 4000) -> Simulation:
    flow = manifest_flow("w", {"graph": {"nodes": nodes}}, lambda text: UNKNOWN)
    return simulate(flow, model, cases, 7)


SERVED = [{"id": "serve", "action": "x.serve"}]


def served(clerks: int, seconds: float, cases: int = 4000) -> Simulation:
    step = StepModel(seconds=seconds, resource="clerk")
    model = Model(every_seconds=100, steps={"serve": step}, resources={"clerk": clerks})
    return run(SERVED, model, cases)


@pytest.mark.slow
def test_one_clerk_is_the_queue_of_the_textbook() -> None:
    found = served(1, 50, 20_000)
    (clerk,) = found.resources
    assert clerk.utilisation.low <= 0.5 <= clerk.utilisation.high
    assert found.duration.low <= 100 <= found.duration.high  # 1 / (1/50 - 1/100)
    assert clerk.wait.low <= 50 <= clerk.wait.high
    assert found.per_hour.low <= 36 <= found.per_hour.high
    assert found.bottleneck == "clerk" and found.stable


@pytest.mark.slow
def test_two_clerks_wait_as_erlang_says() -> None:
    found = served(2, 100, 20_000)  # half busy each: C(2, 1) = 1/3, wait 100/3
    (clerk,) = found.resources
    assert clerk.utilisation.low <= 0.5 <= clerk.utilisation.high
    assert clerk.wait.low <= 100 / 3 <= clerk.wait.high


def test_more_than_can_be_done_is_told() -> None:
    found = served(1, 150, 500)
    assert not found.stable and found.resources[0].utilisation.mean > 0.95


def test_the_same_seed_gives_the_same_numbers() -> None:
    assert served(1, 50, 300) == served(1, 50, 300)


def test_steps_side_by_side_take_as_long_as_the_longest() -> None:
    steps = {
        "a": StepModel(seconds=10, spread="constant"),
        "b": StepModel(seconds=30, spread="constant"),
        "c": StepModel(seconds=5, spread="constant"),
    }
    nodes = [
        {"id": "a", "action": "x.a"},
        {"id": "b", "action": "x.b"},
        {"id": "c", "action": "x.c", "dependsOn": ["a", "b"]},
    ]
    found = run(nodes, Model(steps=steps), 40)
    assert found.duration.mean == 35 and found.p50 == 35 and found.completed == 40
    assert found.bottleneck == "b"


def test_a_share_of_steps_fails_as_the_model_says() -> None:
    found = run(SERVED, Model(steps={"serve": StepModel(fails=0.25)}), 2000)
    assert 0.2 < found.failed / 2000 < 0.3


def test_choices_follow_their_weights() -> None:
    nodes = [
        {
            "id": "choose",
            "branch": [
                {"when": "${input.a}", "nodes": [{"id": "often", "action": "x.a"}]},
                {"nodes": [{"id": "seldom", "action": "x.b"}]},
            ],
        }
    ]
    weights = {"choose takes 1": 9.0, "choose takes none": 0.0}
    found = run(nodes, Model(weights=weights), 2000)
    shares = {one.step: one.per_case for one in found.steps}
    assert 0.85 < shares["often"] < 0.95 and 0.05 < shares["seldom"] < 0.15
