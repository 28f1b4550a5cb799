"""Replay finds any one changed leaf of a journal.

A step that can be computed again and everything a step was asked with is
located at its own event and field. What the world answered (a read, an effect)
cannot be computed again: replay takes it as it stands and names the first event
that contradicts it; that the bytes are the recorded ones is the ledger's proof.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.kernel import pointer
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.event import Event
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle


class Item(msgspec.Struct):
    n: int
    tags: list[str] = []


@action("math.double", effect=Effect.PURE)
def double(ctx, value: Item) -> Item:
    """Double."""
    return Item(value.n * 2, [*value.tags, "doubled"])


@action("net.look", effect=Effect.READ)
async def look(ctx, value: Item) -> Item:
    """Look."""
    return Item(value.n + 100, [*value.tags, "seen"])


@action("bank.pay", effect=Effect.IRREVERSIBLE)
async def pay(ctx, value: Item) -> Item:
    """Pay."""
    return Item(value.n, ["paid"])


CALLS = {"pure": "math.double", "read": "net.look", "effect": "bank.pay"}


@workflow("tree")
async def tree(ctx, value: list) -> Any:
    kind, inner = value
    if kind in CALLS:
        return await ctx.call(CALLS[kind], Item(inner, [kind]))
    if kind == "child":
        return await ctx.run("tree", inner)
    if kind == "sleep":
        await ctx.sleep(inner)
        return ctx.now_ms() - ctx.now_ms()
    if kind == "ask":
        asked = Item(inner, ["asked"])
        answer = await ctx.approve(
            "bank.pay", asked, evidence={"pages": [inner]}, roles=["boss"], because="large"
        )
        return [answer.approved, await ctx.call("bank.pay", asked, approval=answer)]
    return await ctx.parallel(*(tree.fn(ctx, one) for one in inner))


PLUGIN = Plugin(name="tamper", actions=(double, look, pay), workflows=(tree,))
leaves = st.one_of(
    st.tuples(st.sampled_from([*CALLS, "ask"]), st.integers(0, 99)),
    st.tuples(st.just("sleep"), st.integers(1, 5000)),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("par"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("child"), inner),
    ),
    max_leaves=6,
)


class Forged:
    """A store in which one leaf of one event is another one."""

    def __init__(self, inner: Any, seq: int, where: str, value: Any) -> None:
        self._inner = inner
        self._seq, self._where, self._value = seq, where, value

    async def streams(self, prefix: str = "") -> Any:
        return await self._inner.streams(prefix)

    async def read_stream(self, stream: str, **options: Any) -> list[Event]:
        events = await self._inner.read_stream(stream, **options)
        return [self._forge(event) if event.seq == self._seq else event for event in events]

    def _forge(self, event: Event) -> Event:
        body = pointer.put(copy.deepcopy(event.payload), self._where, self._value)
        return msgspec.structs.replace(event, payload=body)


async def lived(value: Any) -> tuple[TestSquad, str]:
    s = TestSquad(PLUGIN)
    run = await s.engine.start("tree", value)
    for _ in range(20):
        await settle(30)
        if (await s.engine.outcome(run)).status == "completed":
            return s, run
        for question in await s.engine.inbox():
            await s.engine.answer(question.id, approve=True, approver="person:ada", reason="ok")
        await s.clock.advance(5000)
    raise AssertionError("the run did not end")


def other(leaf: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(leaf, bool):
        return not leaf
    if isinstance(leaf, int):
        return leaf + 1
    if isinstance(leaf, str):
        return leaf + "x"
    return 1


EXACT = {"input", "due_ms", "evidence", "because", "roles", "requester"}


@settings(max_examples=settings.default.max_examples * 3)
@given(trees, st.data())
def test_one_changed_leaf_is_located(value: Any, data: Any):
    async def check() -> None:
        s, run = await lived(value)
        store = s.ledger.store
        assert (await replay(store, s.registry, run)).verdict == "identical"
        places = []
        for name, _ in await store.streams("run/"):
            for event in await store.read_stream(name):
                for where, leaf in pointer.walk(event.payload):
                    field = where.split("/")[1]
                    if field == "output" or (field in EXACT and event.type != "run.started"):
                        places.append((event, where, leaf, field))
        event, where, leaf, field = data.draw(st.sampled_from(places))
        found = await replay(Forged(store, event.seq, where, other(leaf)), s.registry, run)
        assert found.verdict == "diverged", (event, where)
        own = field in EXACT or event.payload.get("effect") == "pure"
        own = own or event.type == "run.completed" or "child" in event.payload
        if own:
            assert (found.event, found.field) == (event.seq, where), found
            assert (found.was, found.now) == (other(leaf), leaf)
        else:
            assert found.event is not None
            assert found.event >= event.seq

    asyncio.run(check())


async def test_the_input_of_a_run_is_located_where_it_first_shows():
    s, run = await lived(("pure", 7))
    store = s.ledger.store
    (started, step, _) = await store.read_stream(f"run/{run}")
    found = await replay(Forged(store, started.seq, "/input/1", 8), s.registry, run)
    assert (found.verdict, found.event, found.field) == ("diverged", step.seq, "/input/n")
