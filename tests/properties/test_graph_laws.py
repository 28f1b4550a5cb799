from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.runtime.control.graph import cycle, order
from agentsquad.runtime.control.quantity import duration_ms, size_bytes

EDGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25)


def nodes_of(edges: list[tuple[int, int]]) -> list[dict[str, Any]]:
    needs: dict[str, list[str]] = {f"n{index}": [] for index in range(10)}
    for a, b in edges:
        if f"n{b}" not in needs[f"n{a}"]:
            needs[f"n{a}"].append(f"n{b}")
    return [{"id": name, "dependsOn": list(needs[name])} for name in needs]


@given(EDGES)
def test_either_there_is_an_order_or_a_cycle_of_real_edges(edges: list[tuple[int, int]]) -> None:
    nodes = nodes_of(edges)
    needs = {node["id"]: node["dependsOn"] for node in nodes}
    ring = cycle(nodes)
    if ring is None:
        done = order(nodes)
        assert sorted(done) == sorted(needs)
        for name in done:
            assert all(done.index(other) < done.index(name) for other in needs[name])
    else:
        assert ring[0] == ring[-1]
        assert len(set(ring)) == len(ring) - 1
        assert all(b in needs[a] for a, b in pairwise(ring))


@given(EDGES)
def test_edges_that_only_point_back_have_no_cycle(edges: list[tuple[int, int]]) -> None:
    assert cycle(nodes_of([(max(a, b), min(a, b)) for a, b in edges if a != b])) is None


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_up(hours: int, minutes: int, seconds: int, rest: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{rest}ms"
    assert duration_ms(text) == ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


@given(st.integers(0, 10**9))
def test_binary_sizes_are_powers_of_1024(amount: int) -> None:
    assert size_bytes(f"{amount}Mi") == size_bytes(f"{amount * 1024}Ki") == amount * 2**20
