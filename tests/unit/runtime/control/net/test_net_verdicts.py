"""Nets from textbooks, and what each of the ways to decide them says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import NetVerdict
from agentsquad.runtime.control.net.invariant import structural_bounds
from agentsquad.runtime.control.net.judge import Judge
from agentsquad.runtime.control.net.petri import Net, Place, Transition

Side = Mapping[str, int] | str


def side(text: Side) -> dict[str, int]:
    return dict.fromkeys(text.split(), 1) if isinstance(text, str) else dict(text)


def net(start: Side, **transitions: tuple[Side, Side]) -> Net:
    """Build a net from a marking and transitions by name."""
    arcs = {name: (side(one[0]), side(one[1])) for name, one in transitions.items()}
    names = dict.fromkeys(
        [*side(start), *(place for takes, puts in arcs.values() for place in (*takes, *puts))]
    )
    index = {name: at for at, name in enumerate(names)}
    return Net(
        "net",
        "net",
        tuple(Place(name, name, side(start).get(name, 0)) for name in names),
        tuple(
            Transition(
                name,
                name,
                {index[p]: w for p, w in takes.items()},
                {index[p]: w for p, w in puts.items()},
            )
            for name, (takes, puts) in arcs.items()
        ),
    )


def judged(one: Net, states: int = 100_000, few: int | None = None) -> NetVerdict:
    ticks = iter(range(10**9))
    judge = Judge(one, Bounds(lambda: next(ticks) / 100, 30, states))
    if few is not None:
        judge.few = few
    return judge.judge()


def philosophers(count: int) -> Net:
    arcs: dict[str, tuple[Side, Side]] = {}
    start = []
    for one in range(count):
        right = (one + 1) % count
        start += [f"think{one}", f"fork{one}"]
        arcs[f"take{one}"] = (f"think{one} fork{one}", f"half{one}")
        arcs[f"eat{one}"] = (f"half{one} fork{right}", f"eats{one}")
        arcs[f"stop{one}"] = (f"eats{one}", f"think{one} fork{one} fork{right}")
    return net(" ".join(start), **arcs)


def test_philosophers_starve_when_each_has_one_fork() -> None:
    verdict = judged(philosophers(4))
    assert verdict.deadlock and verdict.witness is not None
    assert sorted(verdict.witness.firing) == ["take0", "take1", "take2", "take3"]
    assert verdict.witness.marking == {f"half{one}": 1 for one in range(4)}
    assert verdict.safe and verdict.bounded and verdict.dead == [] and verdict.live is False


@pytest.mark.slow
def test_a_hundred_philosophers_are_too_many_to_look_at_but_not_to_decide() -> None:
    verdict = judged(philosophers(100))
    assert verdict.deadlock and not verdict.complete
    assert verdict.unbounded == [] and verdict.safe
    assert verdict.bounds is not None and set(verdict.bounds.values()) == {1}


def test_a_ring_that_goes_round_is_live() -> None:
    verdict = judged(net("a", go=("a", "b"), back=("b", "a")))
    assert verdict.deadlock is False and verdict.live and verdict.safe and verdict.complete
    assert verdict.methods["deadlock"] == "all reachable markings were looked at"


def test_a_source_is_unbounded_and_never_stuck() -> None:
    verdict = judged(net("", make=("", "store"), use=({"store": 2}, "")))
    assert verdict.deadlock is False and verdict.unbounded == ["store"]
    assert verdict.pumps[0].again == ["make"]


def test_a_producer_without_a_consumer_that_keeps_up_is_unbounded() -> None:
    verdict = judged(net("idle", make=("idle", "idle store"), use=("store gone", "gone")))
    assert verdict.unbounded == ["store"] and verdict.dead == ["use"]
    assert "gone" in verdict.dead_because["use"]
    assert verdict.deadlock is False and verdict.bounded is False and verdict.safe is False


def test_a_loop_that_lives_on_another_is_told_in_stages() -> None:
    verdict = judged(net("a", fill=("a", "a x"), over=("a", "b"), turn=("b x", "b y")))
    assert verdict.unbounded == ["x", "y"]
    simple, staged = verdict.pumps
    assert simple.again == ["fill"] and staged.places == ["y"]
    assert [stage.loop for stage in staged.stages] == [["fill"], ["turn"]]
    assert verdict.deadlock and verdict.witness is not None


def test_weights_decide_whether_something_is_enough() -> None:
    verdict = judged(net({"a": 3}, pair=({"a": 2}, "b")))
    assert verdict.deadlock and verdict.witness is not None
    assert verdict.witness.marking == {"a": 1, "b": 1}
    assert verdict.bounds == {"a": 3, "b": 1}


def test_a_net_without_transitions_is_stuck_at_the_start() -> None:
    verdict = judged(net("a"))
    assert verdict.deadlock and verdict.witness is not None and verdict.witness.firing == []


def test_an_empty_net_is_stuck_too() -> None:
    verdict = judged(net(""))
    assert verdict.deadlock and verdict.dead == [] and verdict.unbounded == []


def test_a_bound_that_is_reached_leaves_null_with_the_reason() -> None:
    table = philosophers(30)
    seats = len(table.places)
    taken = tuple(
        Transition(
            one.id,
            one.name,
            {**one.takes, **({seats: 1} if one.name.startswith("take") else {})},
            {**one.puts, **({seats: 1} if one.name.startswith("stop") else {})},
        )
        for one in table.transitions
    )
    guarded = Net("n", "n", (*table.places, Place("seats", "seats", 29)), taken)
    ticks = iter(range(10**9))
    verdict = Judge(guarded, Bounds(lambda: next(ticks) * 10.0, 0.05, 1000)).judge()
    assert None in (verdict.deadlock, verdict.unbounded, verdict.dead)
    for question in ("deadlock", "unbounded", "dead"):
        known = {"deadlock": verdict.deadlock, "unbounded": verdict.unbounded, "dead": verdict.dead}
        assert (known[question] is None) == (question in verdict.reasons)


WORKFLOW = {
    "split": ("i", "a b"),
    "left": ("a", "c"),
    "right": ("b", "d"),
    "join": ("c d", "o"),
}


def test_a_sound_workflow_net_is_told_as_one() -> None:
    verdict = judged(net("i", **WORKFLOW))
    assert verdict.soundness is not None and verdict.soundness.sound
    assert verdict.deadlock and verdict.witness is not None
    assert verdict.witness.marking == {"o": 1}
    assert "proper end" in verdict.findings[0].message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"join": ("c", "o"), "other": ("d", "o")}, "proper"),
        ({"split": ("i", "a"), "more": ("i", "b")}, "option_to_complete"),
        ({"never": ("a b c", "d")}, "no_dead"),
    ],
)
def test_what_makes_a_workflow_net_unsound_is_told(
    change: dict[str, tuple[Side, Side]], field: str
) -> None:
    verdict = judged(net("i", **{**WORKFLOW, **change}))
    assert verdict.soundness is not None
    assert verdict.soundness.sound is False and getattr(verdict.soundness, field) is False


def test_weights_of_places_bound_what_conserves_tokens() -> None:
    one = net({"a": 5}, pack=({"a": 2}, "b"), unpack=("b", {"a": 2}), drop=("b", "c"))
    ticks = iter(range(10**6))
    assert structural_bounds(one, Bounds(lambda: next(ticks) / 1e3, 1, 100)) == [5, 2, 2]
