"""One of everything a workflow can do, written to be recorded by every version.

NEVER change what is here: logs that older versions wrote are replayed against
it. Add new workflows at the end, with only what the engine then offers.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.errors import DeadlineError, InvalidError, SquadError, UnavailableError
from agentsquad.kernel.personal import PERSONAL
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow

TRIES: dict[str, int] = {}


class N(msgspec.Struct):
    n: int


class Person(msgspec.Struct):
    name: Annotated[str, PERSONAL]


class Undone(msgspec.Struct):
    input: Any = None
    output: Any = None
    position: str = ""


@action("zoo.double", effect=Effect.PURE)
def double(ctx: Any, value: N) -> N:
    """Double a number."""
    if value.n < 0:
        raise InvalidError("no negative numbers", code="zoo.negative")
    return N(value.n * 2)


@action("zoo.look", effect=Effect.READ)
async def look(ctx: Any, value: N) -> N:
    """Look something up."""
    return N(value.n + 100)


@action("zoo.flaky", effect=Effect.READ, retry=RetryPolicy(attempts=3, initial_ms=1, jitter=0))
async def flaky(ctx: Any, value: N) -> N:
    """Fail twice, then answer."""
    TRIES[str(ctx.run_id)] = TRIES.get(str(ctx.run_id), 0) + 1
    if TRIES[str(ctx.run_id)] < 3:
        raise UnavailableError("not now")
    return value


@action("zoo.book", effect=Effect.WRITE, compensate="zoo.unbook")
async def book(ctx: Any, value: N) -> N:
    """Book something."""
    if value.n == 13:
        raise InvalidError("unlucky", code="zoo.unlucky")
    return N(value.n)


@action("zoo.unbook", effect=Effect.WRITE)
async def unbook(ctx: Any, value: Undone) -> None:
    """Undo a booking."""


@action("zoo.pay", effect=Effect.IRREVERSIBLE)
async def pay(ctx: Any, value: N) -> N:
    """Pay."""
    return value


@workflow("zoo-child", version="1")
async def child(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    doubled = await ctx.call("zoo.double", N(value["n"]))
    if doubled.n > 100:
        raise InvalidError("too much", code="zoo.limit")
    return {"n": doubled.n}


@workflow("zoo-flow", version="1")
async def flow(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    many = await ctx.map(lambda n: ctx.run("zoo-child", {"n": n}), value["numbers"], limit=2)
    both = await ctx.parallel(
        ctx.call("zoo.look", N(1)), ctx.call("zoo.flaky", N(2)), ctx.call("zoo.double", N(3))
    )
    failed = []
    for work in (lambda: ctx.run("zoo-child", {"n": 99}), lambda: ctx.call("zoo.double", N(-1))):
        try:
            await work()
        except SquadError as error:
            failed.append(error.code)
    keyed = await ctx.run("zoo-child", {"n": 5}, key="five")
    return {
        "many": many,
        "both": [one.n for one in both],
        "failed": failed,
        "keyed": keyed,
        "drawn": ctx.random(),
        "later": ctx.now_ms() > 0,
    }


@workflow("zoo-people", version="1")
async def people(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    evidence = {"why": "for the record", "unicode": "Zoë — Žluťoučký 🐎"}
    answer = await ctx.approve(
        "zoo.pay", N(value["n"]), evidence=evidence, roles=("boss",), because="it is money",
        requester="agent:zoo", expires_ms=86_400_000,
    )  # fmt: skip
    if not answer.approved:
        return {"paid": 0, "because": answer.reason}
    decision = await ctx.decide("zoo.pay", N(value["n"]), facts={"amount": value["n"]})
    limit = await ctx.query("data.zoo.limit", {"asked": True})
    paid = await ctx.call("zoo.pay", N(value["n"]), approval=answer, facts={"amount": value["n"]})
    return {"paid": paid.n, "allowed": decision.allow, "limit": limit}


@workflow("zoo-denied", version="1")
async def denied(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    try:
        await ctx.call("zoo.pay", N(1_000_000), facts={"amount": 1_000_000})
    except SquadError as error:
        return {"code": error.code}
    return {"code": "none"}


@workflow("zoo-waits", version="1")
async def waits(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    await ctx.sleep(5)
    first = await ctx.signal("go")
    try:
        second = await ctx.signal("never", timeout_ms=5)
    except DeadlineError as error:
        second = error.code
    return {"first": first, "second": second}


@workflow("zoo-saga", version="1")
async def saga(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    undoable = ctx.saga()
    for n in value["book"]:
        await undoable.call("zoo.book", N(n))
    if value.get("wait"):
        await ctx.signal("on")
    return {"booked": value["book"]}


@workflow("zoo-personal", version="1")
async def personal(ctx: Any, value: Person) -> dict[str, Any]:
    below = await ctx.run("zoo-child", {"n": 4, "of": f"for {value.name}"})
    return {"hello": f"Dear {value.name},", **below}


@workflow("zoo-agent", version="1")
async def agent(ctx: Any, value: dict[str, Any]) -> dict[str, Any]:
    return await ctx.agent("p2p-matcher", value, task="Pair the lines.")


RULES = """package zoo

actions := {"zoo.book", "zoo.unbook", "zoo.pay", "approvals.give"}

limit := 1000

small if input.input.n < limit

allow contains {"clause": "zoo.any", "reason": "it is only a zoo"} if input.action != "zoo.pay"

allow contains {"clause": "zoo.small", "reason": "small enough"} if {
	input.action == "zoo.pay"
	small
}

obligations contains {
	"clause": "zoo.ask",
	"approve": {"roles": ["boss"], "count": 1, "because": "money"},
} if {
	input.action == "zoo.pay"
	small
}
"""

plugin = Plugin(
    name="zoo",
    actions=(double, look, flaky, book, unbook, pay),
    workflows=(child, flow, people, denied, waits, saga, personal, agent),
    policies={"zoo/rules.rego": RULES},
)
