"""Why: causes and flips are re-run before they are stated."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.contract import Change
from agentsquad.runtime.determinism.fork import Forker
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.workforce.explain.candidates import candidates
from agentsquad.workforce.explain.why import Inquiry

CALLS = {"pay": 0}


class Line(msgspec.Struct):
    price: int
    quantity: int


class Case(msgspec.Struct):
    number: str
    order: Line
    invoice: Line
    blocked: bool = False
    noise: int = 7


class Judged(msgspec.Struct):
    number: str
    outcome: str
    because: str


@action("case.tolerance", effect=Effect.PURE)
def tolerance(ctx, value: int) -> int:
    """Two percent."""
    return value * 2 // 100


@action("case.noise", effect=Effect.PURE)
def noise(ctx, value: int) -> int:
    """A step that does not matter."""
    return value + 1


@action("bank.pay", effect=Effect.IRREVERSIBLE, preview="bank.preview")
async def pay(ctx, value: dict) -> dict:
    """Pay."""
    CALLS["pay"] += 1
    return {"paid": True}


@action("bank.preview", effect=Effect.PURE)
def preview(ctx, value: dict) -> dict:
    """Say what paying would give."""
    return {"paid": True}


@workflow("judge")
async def judge(ctx, value: Case) -> Judged:
    await ctx.call("case.noise", value.noise)
    allowed = await ctx.call("case.tolerance", value.order.price)
    if value.blocked:
        return Judged(value.number, "held", "the vendor is blocked")
    if value.invoice.price > value.order.price + allowed:
        return Judged(value.number, "held", "the price is above tolerance")
    amount = value.invoice.price * value.invoice.quantity
    await ctx.call("bank.pay", {"amount": {"micros": amount, "currency": "USD"}})
    return Judged(value.number, "paid", "it matches")


async def inquire(case: Case):
    CALLS["pay"] = 0
    plugin = Plugin(name="t", actions=(tolerance, noise, pay, preview), workflows=(judge,))
    s = TestSquad(plugin)
    outcome = await s.run("judge", case)
    assert outcome.status == "completed", outcome.error
    CALLS["pay"] = 0
    past = await load(s.ledger.store, outcome.run)
    assert past is not None
    return s, await Inquiry(s.world, past, None).answer(), outcome.run


async def test_a_held_case_names_the_price_and_the_cent_that_would_have_done():
    _, why, _ = await inquire(Case("INV-1", Line(1000, 5), Line(1100, 5)))
    assert why.verdict == "held"
    assert why.flip.path == "input/order/price" or why.flip.path == "input/invoice/price"
    assert why.flip.then == "paid"
    assert "the price is above tolerance" in why.answer
    assert [cause.name for cause in why.causes] == ["case.tolerance"]
    assert CALLS["pay"] == 0


async def test_the_flip_is_minimal_to_the_last_unit():
    s, why, run = await inquire(Case("INV-1", Line(1000, 5), Line(1100, 5)))
    name = why.flip.path
    nearer = why.flip.needed + (1 if why.flip.needed < why.flip.was else -1)
    fork = await Forker(s.world).fork(run, [Change(path=name, value=nearer)])
    assert fork.output["outcome"] == "held"


async def test_a_stated_flip_flips_when_it_is_run_again():
    for case in (
        Case("A", Line(1000, 5), Line(1100, 5)),
        Case("B", Line(1000, 5), Line(1000, 5)),
        Case("C", Line(1000, 5), Line(1000, 5), blocked=True),
    ):
        s, why, run = await inquire(case)
        for flip in [why.flip, *why.others]:
            fork = await Forker(s.world).fork(run, [Change(path=flip.path, value=flip.needed)])
            assert fork.output["outcome"] == flip.then != why.verdict


async def test_what_does_not_matter_is_neither_cause_nor_flip():
    _, why, _ = await inquire(Case("INV-1", Line(1000, 5), Line(1100, 5)))
    assert "case.noise" not in [cause.name for cause in why.causes]
    assert all("noise" not in flip.path for flip in [why.flip, *why.others])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("abc", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["price", "quantity", "name"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values)
def test_every_candidate_changes_something(value):
    from agentsquad.kernel.pointer import put

    for one in candidates(value):
        assert put(value, one.path, one.value) != value or isinstance(one.value, bool)
