"""Laws of how places are given, on any sequence of coming and going."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.runtime.resilience.places import Need, Node, Places, PlacesRule

SIZES = st.none() | st.integers(1, 8)
NODES = st.lists(
    st.builds(Node, slots=SIZES, cpu=SIZES, memory=SIZES, gpu=SIZES, cost=st.integers(0, 5)),
    min_size=1,
    max_size=3,
)
RULES = st.builds(
    lambda nodes, quotas, overflow, cost: PlacesRule(
        nodes=tuple(
            Node(name=f"n{i}", slots=n.slots, cpu=n.cpu, memory=n.memory, gpu=n.gpu, cost=n.cost)
            for i, n in enumerate(nodes)
        ),
        quotas=quotas,
        overflow=overflow,
        aging_ms=10,
        cost_max=cost,
    ),
    NODES,
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)),
    st.booleans(),
    st.none() | st.integers(0, 8),
)
NEEDS = st.builds(Need, st.integers(1, 2), st.integers(0, 4), st.integers(0, 4), st.integers(0, 2))
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from("abc"), st.integers(0, 9), NEEDS),
        st.tuples(st.just("leave"), st.integers(0, 50), st.just(0), st.just(Need())),
        st.tuples(st.just("time"), st.integers(1, 40), st.just(0), st.just(Need())),
    ),
    max_size=50,
)


def play(rule, moves):
    """Play the moves; yield the places after each."""
    places, now = Places(rule), 0.0
    for kind, what, level, need in moves:
        if kind == "time":
            now += what
        elif kind == "wait" and places.possible(need):
            places.wait(what, level, need, now)
        elif kind == "leave":
            everybody = [*places.waiting.values(), *(g.ticket for g in places.busy.values())]
            if everybody:
                places.leave(everybody[what % len(everybody)])
        yield places, places.give(now), now


@given(RULES, MOVES)
def test_no_node_holds_more_than_it_has_and_the_busy_ones_stay_within_the_budget(rule, moves):
    for places, _, _ in play(rule, moves):
        cost = 0
        for node in rule.nodes:
            on = [g.ticket.need for g in places.busy.values() if g.node == node.name]
            for has, used in zip(
                node.has, [sum(each) for each in zip(*on, strict=True)] or [0] * 4, strict=True
            ):
                assert has is None or used <= has
            cost += node.cost if on else 0
        assert rule.cost_max is None or cost <= rule.cost_max
        assert dict(places.load()) == {
            node.name: tuple(
                sum(g.ticket.need[i] for g in places.busy.values() if g.node == node.name)
                for i in range(4)
            )
            for node in rule.nodes
        }


@given(RULES, MOVES)
def test_a_quota_is_kept_while_somebody_below_theirs_waits(rule, moves):
    for places, given_now, _ in play(rule, moves):
        for flow, quota in rule.quotas.items():
            if not rule.overflow:
                assert places.used_by(flow) <= quota
            elif places.used_by(flow) > quota and any(g.ticket.flow == flow for g in given_now):
                others = [t for t in places.waiting.values() if t.flow != flow]
                for other in others:  # whoever still waits found no room, or is over as well
                    theirs = rule.quotas.get(other.flow)
                    over = (
                        theirs is not None
                        and places.used_by(other.flow) + other.need.slots > theirs
                    )
                    assert over or places._place(other, []) is None


@given(RULES, MOVES)
def test_the_same_moves_give_the_same_places(rule, moves):
    first = [[(g.ticket.id, g.node) for g in given_now] for _, given_now, _ in play(rule, moves)]
    again = [[(g.ticket.id, g.node) for g in given_now] for _, given_now, _ in play(rule, moves)]
    assert first == again


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=2),
    st.integers(1, 4),
    st.integers(10, 60),
)
def test_flows_that_always_have_work_get_their_weights_share(weights, slots, rounds):
    places = Places(PlacesRule(nodes=(Node(slots=slots),), weights=weights, aging_ms=10**9))
    served = dict.fromkeys(weights, 0)
    for _ in range(rounds * sum(weights.values())):
        for flow in sorted(weights):
            while sum(t.flow == flow for t in places.waiting.values()) < 2:
                places.wait(flow, 5, Need(), 0)
        for one in places.give(0):
            served[one.ticket.flow] += 1
        oldest = next(iter(places.busy.values()), None)
        if oldest is not None:
            places.leave(oldest.ticket)
    total, weight = sum(served.values()), sum(weights.values())
    for flow, share in weights.items():
        assert abs(served[flow] - total * share / weight) <= slots + len(weights) + 2


@given(st.integers(1, 9), st.integers(1, 6))
def test_nobody_starves_behind_higher_levels(level, slots):
    places, now = Places(PlacesRule(nodes=(Node(slots=slots),), aging_ms=10)), 0.0
    poor = places.wait("poor", 0, Need(), now)
    for turn in itertools.count():
        places.wait("rich", level, Need(), now)
        places.give(now)
        if poor.id in places.busy:
            break
        assert turn <= 10 * (level + 2) + slots, "it is overtaken for ever"
        for one in list(places.busy.values()):
            places.leave(one.ticket)
            break
        now += 1


@given(st.integers(2, 8))
def test_a_large_need_is_not_overtaken_for_ever_by_small_ones(size):
    places, now = Places(PlacesRule(nodes=(Node(slots=size),), aging_ms=10)), 0.0
    for _ in range(size):
        places.wait("small", 5, Need(), now)
    places.give(now)
    large = places.wait("large", 5, Need(slots=size), now)
    for turn in itertools.count():
        places.wait("small", 9, Need(), now)
        places.give(now)
        if large.id in places.busy:
            break
        assert turn < 500, "small ones always fill the gap"
        if places.busy:
            places.leave(next(iter(places.busy.values())).ticket)
        now += 1


def best(needs, nodes):
    """The least nodes that hold all needs, tried out."""
    for count in range(1, len(nodes) + 1):
        for chosen in itertools.combinations(nodes, count):
            for places in itertools.product(range(count), repeat=len(needs)):
                used = [[0] * 4 for _ in chosen]
                for need, at in zip(needs, places, strict=True):
                    for i, n in enumerate(need):
                        used[at][i] += n
                if all(
                    has is None or u <= has
                    for node, one in zip(chosen, used, strict=True)
                    for has, u in zip(node.has, one, strict=True)
                ):
                    return count
    return None


@given(
    st.lists(
        st.builds(Need, st.just(1), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=5
    )
)
def test_packing_uses_at_most_one_node_more_than_the_best_there_is(needs):
    nodes = tuple(Node(name=f"n{i}", cpu=5, memory=5, cost=1) for i in range(5))
    places = Places(PlacesRule(nodes=nodes))
    for need in sorted(needs, reverse=True):
        places.wait("a", 5, need, 0)
        places.give(0)
    least = best(needs, nodes[:4])
    if least is not None:
        assert places.cost <= least + 1
