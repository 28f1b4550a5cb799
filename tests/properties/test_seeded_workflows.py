"""Every planted defect is found, and nothing is found where all is sound.

Prints how many of each there were. `NET_CASES=all` takes as many as the page on
checking workflows has in its table; without it there are fewer.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentsquad.runtime.control.adapters.cel import CelExpressions
from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import NetVerdict
from agentsquad.runtime.control.net.coroutine import python_flows
from agentsquad.runtime.control.net.flow import judge_flow
from agentsquad.runtime.control.net.gate import wrong
from agentsquad.runtime.control.net.judge import Judge
from agentsquad.runtime.control.net.manifest import constant_by, manifest_flow

_spec = importlib.util.spec_from_file_location(
    "seeded_workflows", Path(__file__).with_name("seeded_workflows.py")
)
assert _spec and _spec.loader
seeded = importlib.util.module_from_spec(_spec)
sys.modules["seeded_workflows"] = seeded
_spec.loader.exec_module(seeded)

ALL = os.environ.get("NET_CASES") == "all"
SOUND = 100 if ALL else 30
MANIFESTS = 12 if ALL else 3  # with each defect
COROUTINES = 40 if ALL else 10  # with each defect
constant = constant_by(CelExpressions().evaluate)


def bounds() -> Bounds:
    ticks = iter(range(10**9))
    return Bounds(lambda: next(ticks), 10, 20_000)


def manifest(spec: Mapping[str, Any]) -> NetVerdict:
    return judge_flow(manifest_flow("grown", spec, constant, "grown.yaml"), bounds())


def python(text: str) -> NetVerdict:
    (flow,) = python_flows(text, "grown.py")
    return judge_flow(flow, bounds())


@pytest.mark.slow
def test_nothing_is_found_in_sound_workflow_nets() -> None:
    for seed in range(SOUND):
        verdict = Judge(seeded.Grown(seed, seed % 14).net(), bounds()).judge()
        assert verdict.soundness is not None and verdict.soundness.sound, seed
        assert verdict.dead == [] and verdict.unbounded == [] and verdict.safe, seed
        assert verdict.witness is not None and verdict.witness.marking == {"o": 1}, seed


@pytest.mark.slow
@pytest.mark.parametrize("defect", seeded.NET_DEFECTS, ids=lambda one: one.__name__)
def test_each_defect_of_a_workflow_net_is_found(defect: Any) -> None:
    planted = 0
    for seed in range(SOUND):
        grown = seeded.Grown(seed, 4 + seed % 9)
        try:
            defect(grown)
        except seeded.NoPlaceError:
            continue
        verdict = Judge(grown.net(), bounds()).judge()
        sound = verdict.soundness is not None and verdict.soundness.sound
        only_end = verdict.witness is None or verdict.witness.marking == {"o": 1}
        assert not sound, seed
        assert (
            verdict.dead
            or verdict.unbounded
            or not only_end
            or verdict.soundness is None  # no workflow net at all: it has two ends
            or verdict.soundness.proper is False
        ), seed
        planted += 1
    print(f"{defect.__name__}: {planted} planted, {planted} found")
    assert planted > SOUND * 0.4


@pytest.mark.slow
def test_nothing_is_found_in_sound_manifests() -> None:
    for seed in range(SOUND):
        spec = seeded.Manifests(seed).spec()
        verdict = manifest(spec)
        assert verdict.wrong is False and verdict.findings == [], (seed, verdict.findings)
        assert wrong(manifest_flow("grown", spec, constant)) == (), seed


@pytest.mark.slow
@pytest.mark.parametrize("defect", seeded.MANIFEST_DEFECTS, ids=lambda one: one.__name__)
def test_each_defect_of_a_manifest_is_found(defect: Any) -> None:
    planted = 0
    for seed in range(MANIFESTS):
        spec = seeded.Manifests(seed).spec()
        code, name = defect(spec)
        verdict = manifest(spec)
        if code == "deadlock":
            assert verdict.deadlock, seed
            told = [one.message for one in verdict.findings if one.code == "deadlock"]
            assert any(f"step {name!r} waits" in text for text in told), (seed, told)
        else:
            assert verdict.dead is not None and name in verdict.dead, (seed, verdict.dead)
        assert wrong(manifest_flow("grown", spec, constant)), seed
        planted += 1
    print(f"{defect.__name__}: {planted} planted, {planted} found")


@pytest.mark.slow
def test_nothing_is_found_in_sound_python() -> None:
    for seed in range(SOUND):
        text = seeded.Coroutines(seed).text()
        verdict = python(text)
        assert verdict.wrong is False and verdict.findings == [], (seed, text, verdict.findings)


@pytest.mark.slow
@pytest.mark.parametrize("name", seeded.PYTHON_DEFECTS)
def test_each_defect_of_a_python_workflow_is_found(name: str) -> None:
    lines, code, word = seeded.PYTHON_DEFECTS[name]
    for seed in range(COROUTINES):
        sound = seeded.Coroutines(seed).text().removesuffix("    return value\n")
        text = sound + "".join(f"    {line}\n" for line in lines.splitlines())
        verdict = python(text)
        if code == "deadlock":
            assert verdict.deadlock, (seed, text)
            told = [one.message for one in verdict.findings if one.code == "deadlock"]
            assert any(word in message for message in told), (seed, told)
        else:
            assert verdict.dead is not None, seed
            assert [one for one in verdict.dead if one.startswith(f"{word}:")], (seed, text)
    print(f"{name}: {COROUTINES} planted, {COROUTINES} found")
