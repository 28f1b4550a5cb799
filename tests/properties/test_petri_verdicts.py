"""Verdicts on small random nets agree with the truth told the slow way.

`NET_CASES=all` draws more of them.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import NetVerdict
from agentsquad.runtime.control.net.judge import Judge
from agentsquad.runtime.control.net.petri import Net, Place, Transition

_spec = importlib.util.spec_from_file_location(
    "petri_truth", Path(__file__).with_name("petri_truth.py")
)
assert _spec and _spec.loader
truth = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(truth)


NETS = 600 if os.environ.get("NET_CASES") == "all" else 100


@st.composite
def nets(draw: st.DrawFn) -> Net:
    """Small nets with weights, self loops and up to three tokens a place."""
    size = draw(st.integers(1, 6))
    arcs = st.dictionaries(st.integers(0, size - 1), st.sampled_from([1, 1, 1, 2]), max_size=3)
    places = tuple(
        Place(f"p{at}", f"p{at}", draw(st.sampled_from([0, 0, 1, 1, 2, 3]))) for at in range(size)
    )
    count = draw(st.integers(0, 7))
    transitions = tuple(
        Transition(f"t{at}", f"t{at}", draw(arcs), draw(arcs)) for at in range(count)
    )
    return Net("net", "net", places, transitions)


class Ticks:
    """A clock that moves when it is looked at, so that a bound is reached at
    the same point each time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def judged(net: Net, seconds: float = 5.0, few: int | None = None) -> NetVerdict:
    judge = Judge(net, Bounds(Ticks(), seconds, 50_000))
    if few is not None:
        judge.few = few
    return judge.judge()


def by_id(net: Net) -> dict[str, int]:
    return {one.id: number for number, one in enumerate(net.transitions)}


def compare(net: Net, verdict: NetVerdict) -> None:
    number = by_id(net)
    names = [place.id for place in net.places]
    if verdict.witness is not None:
        end = net.replayed([number[one] for one in verdict.witness.firing])
        assert end is not None and not net.enabled(end)
        assert verdict.witness.marking == {n: c for n, c in zip(names, end, strict=True) if c}
    for pump in verdict.pumps:
        if not pump.stages:
            before = net.replayed([number[one] for one in pump.first])
            assert before is not None
            after = net.replayed([number[one] for one in pump.again], before)
            assert after is not None and all(map(int.__ge__, after, before))
            assert all(after[names.index(p)] > before[names.index(p)] for p in pump.places)
    found, whole = truth.markings(net)
    fired = {one for enabled in found.values() for one in enabled}
    deadlock = any(not enabled for enabled in found.values())
    if verdict.deadlock is not None:
        assert verdict.deadlock or not deadlock
        assert not verdict.deadlock or deadlock or not whole
    if verdict.dead is not None:
        dead = {number[one] for one in verdict.dead}
        assert not dead & fired
        if whole:
            assert dead == set(range(len(net.transitions))) - fired
    if whole:
        assert verdict.unbounded in ([], None)
        if verdict.safe is not None:
            assert verdict.safe == all(max(m, default=0) <= 1 for m in found)
        if verdict.live is not None and len(found) < 300:
            assert verdict.live == truth.always_again(net, found)
        for place, most in (verdict.bounds or {}).items():
            assert max(m[names.index(place)] for m in found) <= most
    try:
        unbounded, fireable = truth.tree(net)
    except truth.TooLargeError:
        return
    if verdict.unbounded is not None:
        assert {names.index(one) for one in verdict.unbounded} == unbounded
    if verdict.dead is not None:
        assert {number[one] for one in verdict.dead} == set(range(len(net.transitions))) - fireable


@pytest.mark.slow
@settings(max_examples=NETS, deadline=None)
@given(nets())
def test_a_verdict_says_what_looking_at_everything_says(net: Net) -> None:
    verdict = judged(net)
    compare(net, verdict)
    assert verdict.unbounded is not None and verdict.dead is not None


@pytest.mark.slow
@settings(max_examples=NETS, deadline=None)
@given(nets())
def test_the_ways_for_large_nets_say_the_same_of_small_ones(net: Net) -> None:
    compare(net, judged(net, few=0))
