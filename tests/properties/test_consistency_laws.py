"""The laws of the linearizability checker, judged by trying every order."""

from __future__ import annotations

import importlib.util
import itertools
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.operations.consistency.contract import History
from agentsquad.operations.consistency.verdict import Bounds, Verdict, judge


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "conformance" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


kit = load("simulated_history")

WORDS = {
    "register": [("read", "write"), ("read", "write", "cas"), ("read", "cas")],
    "kv": [("get", "put"), ("get", "append"), ("get", "put", "append")],
}
seeds = st.integers(0, 2**64 - 1)


def checked(history: History) -> Verdict:
    return judge(history, Bounds(lambda: 0.0, 1.0))


def plan_of(chance: random.Random, calls_max: int = 11) -> Any:
    model = chance.choice(["register", "register", "kv"])
    return kit.Plan(
        model=model,
        processes=chance.randint(1, 6),
        calls=chance.randint(1, calls_max),
        words=chance.choice(WORDS[model]),
        values=chance.choice([1, 2, 4, None]),
        keys=chance.choice([1, 1, 2]),
        lost=chance.choice([0, 0.1, 0.5]),
    )


@pytest.mark.slow
def test_the_verdict_is_that_of_trying_every_order() -> None:
    """6,000 histories, half of them spoiled; both verdicts are common."""
    counts = {True: 0, False: 0}
    for seed in range(3_000):
        chance = random.Random(seed)
        plan = plan_of(chance)
        events = kit.simulate(plan, chance)
        for history in (
            kit.recorded(events, plan.model),
            kit.recorded(kit.spoiled(events, chance), plan.model),
        ):
            found = checked(history)
            assert found.linearizable is kit.by_permutation(history), (seed, plan.model, events)
            counts[bool(found.linearizable)] += 1
    assert min(counts.values()) > 500, counts


@given(seed=seeds)
@settings(max_examples=300)
def test_what_one_object_did_is_linearizable_and_the_order_explains_it(seed: int) -> None:
    chance = random.Random(seed)
    plan = plan_of(chance, calls_max=80)
    history = kit.recorded(kit.simulate(plan, chance), plan.model)
    found = checked(history)
    assert found.linearizable is True
    for order in found.orders:
        assert kit.explains(order.operations, history, order.key)


@given(seed=seeds)
@settings(max_examples=300)
def test_a_failure_is_explained_by_the_shortest_beginning_that_fails(seed: int) -> None:
    chance = random.Random(seed)
    plan = plan_of(chance)
    history = kit.recorded(kit.spoiled(kit.simulate(plan, chance), chance), plan.model)
    found = checked(history)
    if found.linearizable:
        return
    why = found.explanation
    assert why is not None and why.exact
    end = why.operation.end
    part = [one for one in history.operations if one.key == why.key]

    def beginning(until: int, replaced: Any = None) -> History:
        """What was known when so many events had happened."""
        known = [
            msgspec.structs.replace(one, end=None)
            if one.end is not None and one.end >= until
            else replaced if replaced is not None and one is why.operation
            else one
            for one in part
            if one.begin < until
        ]  # fmt: skip
        return msgspec.structs.replace(history, operations=known)

    assert kit.by_permutation(beginning(end))
    assert not kit.by_permutation(beginning(end + 1))
    if why.possible_all:
        read = "get" if plan.model == "kv" else "read"
        values = {one.value[1] if one.f == "cas" else one.value for one in part}
        if plan.model == "kv":
            values.discard(None)  # what a get that never returned would have read
        for value in values | {kit.INITIAL[plan.model]}:
            other = msgspec.structs.replace(why.operation, f=read, value=value)
            could = kit.by_permutation(beginning(end + 1, other))
            assert could == (value in why.possible), value


@given(seed=seeds, data=st.data())
@settings(max_examples=300)
def test_knowing_less_never_turns_a_good_history_into_a_bad_one(
    seed: int, data: st.DataObject
) -> None:
    """An answer that is lost, and a read that is left out, only take away."""
    chance = random.Random(seed)
    plan = plan_of(chance, calls_max=30)
    history = kit.recorded(kit.simulate(plan, chance), plan.model)
    number = data.draw(st.integers(0, max(0, len(history.operations) - 1)))
    for one in history.operations[number : number + 1]:
        less = [other for other in history.operations if other is not one]
        if one.f not in ("read", "get"):
            less.append(msgspec.structs.replace(one, end=None))
            less.sort(key=lambda other: other.begin)
        assert checked(msgspec.structs.replace(history, operations=less)).linearizable is True


@given(seed=seeds)
@settings(max_examples=200)
def test_the_names_of_processes_and_values_do_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    plan = plan_of(chance)
    if plan.model == "kv":
        return
    events = kit.spoiled(kit.simulate(plan, chance), chance)
    names = dict(zip(range(200), chance.sample(range(1000, 9000), 200), strict=True))

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(one) for one in value]
        return names[value] if isinstance(value, int) else value

    others = [
        {**event, "process": f"p{event['process']}", "value": renamed(event["value"])}
        for event in events
    ]
    one, two = (checked(kit.recorded(each, plan.model)) for each in (events, others))
    assert one.linearizable is two.linearizable


def test_every_history_of_two_operations_is_judged_as_by_hand() -> None:
    """All pairs of a write and a read, in all ways they can overlap."""
    for order in set(itertools.permutations("wwrr")):
        for value in (None, 1, 2):
            seen: set[str] = set()
            events = []
            for who in order:
                kind = "ok" if who in seen else "invoke"
                seen.add(who)
                f, given_ = ("write", 1) if who == "w" else ("read", value)
                events.append({"process": who, "type": kind, "f": f, "value": given_})
            text = "".join(order)
            right = {"wwrr": {1}, "rrww": {None}}.get(text, {None, 1})
            found = checked(kit.recorded(events, "register"))
            assert found.linearizable is (value in right), (text, value)
