"""Workload: what the simulated squad does, actions and one workflow that
interprets programs.

A program is a small tree of steps, drawn from the seed. Every number in it is
used once, so that the bank's ledger can be told from the log and back.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.errors import InvalidError, SquadError, UnavailableError
from agentsquad.kernel.policy import Decision, Question
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.asking import decide, query
from agentsquad.runtime.engine.contract import ScopeDeadlineError, workflow
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.plugin import plugin as engine_plugin
from agentsquad.runtime.resilience.contract import Quote
from agentsquad.testing.simulator.chance import Chance

BIG = 1_000  # from here on somebody must have approved it
ROLE = "controller"
CURRENCY = "USD"
PRICE = 100  # the most one question to the model can cost, in micro-units
PAYING = {"keyed": "bank.pay", "fenced": "cash.pay", "blind": "wire.pay"}


class N(msgspec.Struct):
    """A number."""

    n: int


class Teller(Protocol):
    """The squad's connection to the world outside."""

    async def ask(self, op: str, message: dict[str, Any]) -> Any:
        """Send a message and return the reply."""
        ...


@action("sum.double", effect=Effect.PURE)
def double(ctx: Any, value: N) -> N:
    """Double a number; some are refused."""
    if value.n % 17 == 0:
        raise InvalidError("unlucky", code="sum.unlucky")
    return N(value.n * 2)


@action(
    "office.look",
    effect=Effect.READ,
    retry=RetryPolicy(attempts=3, initial_ms=20, max_ms=100),
    timeout_ms=2_000,
)
async def look(ctx: Any, value: N) -> N:
    """Look something up, which fails now and then."""
    if ctx.token(1)[0] < 40:
        raise UnavailableError("the office is closed", code="office.closed")
    return N(value.n + 100)


@action("model.ask", effect=Effect.READ, retry=RetryPolicy(attempts=2, initial_ms=10))
async def ask_model(ctx: Any, value: N) -> N:
    """Ask a model, at a price."""
    if ctx.token(1)[0] < 40:
        raise UnavailableError("the model is busy", code="model.busy")
    cost = ctx.token(1)[0] % (PRICE + 1)
    ctx.meter(model="m", cost_micros=cost, currency=CURRENCY)
    return N(value.n)


async def _pay(ctx: Any, name: str, way: str, n: int) -> N:
    message = {"key": ctx.idempotency_key, "n": n, "way": way, "action": name}
    answer = await ctx.port(Teller).ask("pay", message)
    return N(answer["n"])


@action(
    "bank.pay", effect=Effect.WRITE, compensate="bank.undo", reconcile="bank.find", timeout_ms=3_000
)
async def pay_keyed(ctx: Any, value: N) -> N:
    """Pay through a bank that knows a key again."""
    return await _pay(ctx, "bank.pay", "keyed", value.n)


@action("bank.undo", effect=Effect.WRITE, reconcile="bank.find")
async def undo(ctx: Any, value: dict[str, Any]) -> N:
    """Take a payment back."""
    return await _pay(ctx, "bank.undo", "keyed", -value["input"]["n"])


@action("cash.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.find")
async def pay_fenced(ctx: Any, value: N) -> N:
    """Pay through a bank that can only be asked afterwards."""
    return await _pay(ctx, "cash.pay", "fenced", value.n)


@action("wire.pay", effect=Effect.IRREVERSIBLE)
async def pay_blind(ctx: Any, value: N) -> N:
    """Pay through a bank that tells nobody."""
    return await _pay(ctx, "wire.pay", "blind", value.n)


@action("bank.find", effect=Effect.READ)
async def find(ctx: Any, value: Reconcile) -> Reconciled:
    """Ask the bank whether a key arrived."""
    answer = await ctx.port(Teller).ask("find", {"key": value.key})
    return Reconciled(found=answer["found"], output={"n": answer["n"]})


async def interpret(ctx: Any, saga: Any, node: list[Any]) -> Any:
    """Do one node of a program."""
    kind, value = node
    if kind in PAYING:
        return (await ctx.call(PAYING[kind], N(value))).n
    if kind in ("sum.double", "office.look", "model.ask"):
        return (await ctx.call(kind, N(value))).n
    if kind == "seq":
        return [await interpret(ctx, saga, one) for one in value]
    if kind == "par":
        return await ctx.parallel(*(interpret(ctx, saga, one) for one in value))
    if kind == "map":
        what, items, limit = value
        return await ctx.map(lambda n: interpret(ctx, saga, [what, n]), items, limit=limit)
    if kind == "sleep":
        return await ctx.sleep(value)
    if kind == "signal":
        return await ctx.signal(value)
    if kind == "child":
        return await ctx.run("program", value)
    if kind == "saga":
        return (await saga.call("bank.pay", N(value))).n
    if kind == "approved":
        return await _approved(ctx, value, value)
    if kind == "wide":
        return await _wide(ctx, saga, value)
    if kind == "say":
        said = {"topic": "goods.new", "payload": value}
        await ctx.call("messages.publish", said)
        return value
    if kind == "both":
        return await _both(ctx, value)
    try:
        if kind == "late":
            return await ctx.signal(f"never {ctx.run_id}", timeout_ms=value)
        if kind == "sneak":
            return await ctx.call("bank.pay", N(value))
        if kind == "swap":
            return await _approved(ctx, value, value + 1)
        return await interpret(ctx, saga, value)
    except SquadError as error:
        return error.code


async def _wide(ctx: Any, saga: Any, value: list[Any]) -> list[Any]:
    """Do a program behind a shield while its time runs out, beside a branch
    begun early, after a race and before a stream of payments."""
    tree, sneaky, wait_ms, items = value
    early = ctx.eager(ctx.call("sum.double", N(sneaky * 17 + 1)))
    found: list[Any] = []
    try:
        racing = [ctx.call("office.look", N(sneaky)), ctx.call("model.ask", N(sneaky))]
        found.append((await ctx.race(ctx.call("bank.pay", N(sneaky)), *racing)).n - sneaky >= 0)
    except SquadError as error:
        found.append(error.code)

    async def kept() -> None:
        found.append(await interpret(ctx, saga, tree))

    try:
        async with ctx.scope(timeout_ms=wait_ms):
            await ctx.parallel(ctx.shield(kept()), ctx.signal(f"never {ctx.run_id}"))
    except ScopeDeadlineError as error:
        found.append(error.code)
    async for one in ctx.stream(lambda n: ctx.call("bank.pay", N(n)), items, limit=2):
        found.append(one.n)
    return [*found, (await early).n]


async def _both(ctx: Any, n: int) -> Any:
    """Write a number into both databases, or into none."""
    statement = {"sql": "take %s", "params": [n]}
    parts = [{"database": name, "statements": [statement]} for name in ("east", "west")]
    try:
        return len((await ctx.call("transactions.run", {"parts": parts, "timeout_ms": 600})).parts)
    except SquadError as error:
        return error.code


async def _approved(ctx: Any, asked: int, paid: int) -> Any:
    answer = await ctx.approve(
        "bank.pay", N(asked), roles=[ROLE], because="it is big", requester="agent:clerk"
    )
    if not answer.approved:
        return "refused"
    return (await ctx.call("bank.pay", N(paid), approval=answer)).n


@workflow("program")
async def program(ctx: Any, value: list[Any]) -> Any:
    """Interpret a program; one that is told things stands still until somebody
    moves it, and waits for an update that pays."""
    if value[0] != "told":
        return await interpret(ctx, ctx.saga(), value)
    tree, unlucky = value[1]
    opened = ctx.latch()

    async def poke(n: int) -> int:
        try:
            paid = await ctx.call("bank.pay", N(n))
        finally:
            opened.open()
        return int(paid.n)

    ctx.on_update("poke", poke)
    found = await interpret(ctx, ctx.saga(), tree)
    moved = (await ctx.call("sum.double", N(unlucky), on_failure="wait")).n
    await opened
    return [found, moved]


PLUGIN = Plugin(
    name="simulated",
    actions=(
        double,
        look,
        ask_model,
        pay_keyed,
        undo,
        pay_fenced,
        pay_blind,
        find,
    ),
    workflows=(program,),
)
PLUGINS = (PLUGIN, Plugin(name="asking", actions=(decide, query)))
RESOLVING = next(one for one in engine_plugin.actions if one.name == "effects.resolve")
SWITCHING = [one for one in engine_plugin.actions if one.name in ("control.halt", "control.lift")]
OPERATING = Plugin(name="operating", actions=(RESOLVING, *SWITCHING))


class HousePolicy:
    """Allows everything, but big payments need an approval."""

    revision = "sha256:simulated-house"

    def decide(self, question: Question) -> Decision:
        """Decide."""
        duties: tuple[dict[str, Any], ...] = ()
        if question.action in PAYING.values() and question.input["n"] >= BIG:
            duties = ({"approve": {"roles": [ROLE], "count": 1, "because": "it is big"}},)
        return Decision(
            allow=True,
            reason="the house allows it",
            revision=self.revision,
            clauses=("house.all",),
            obligations=duties,
        )

    def query(self, path: str, value: Any) -> Any:
        """Answer with what was asked."""
        return value


class Price:
    """Says what a question to the model can cost."""

    def appraise(self, action: str, value: Any) -> Quote | None:
        """Return the quote."""
        return Quote(CURRENCY, PRICE) if action == "model.ask" else None


class Author:
    """Draws programs; a number is used once."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._numbers = 0

    def number(self, big: bool = False) -> int:
        """Return a number nobody had."""
        self._numbers += 1
        return self._numbers + (BIG if big else 0) * 2 * self._numbers

    def told(self, tree: list[Any]) -> list[Any]:
        """Return a program that is told things, after what it does itself."""
        return ["told", [tree, 17 * self.number()]]

    def wide(self, tree: list[Any], chance: Chance) -> list[Any]:
        """Return a program among branches of every kind."""
        items = [self.number() for _ in range(chance.between(1, 4))]
        return ["wide", [tree, self.number(), chance.between(1, 400), items]]

    def write(self, depth: int = 0) -> list[Any]:
        """Return a program."""
        chance = self._chance
        if depth < 3 and chance.happens(0.75 if depth == 0 else 0.35):
            kind = chance.pick(("seq", "seq", "par", "child", "try", "map"))
            if kind == "map":
                what = chance.pick(("keyed", "office.look", "saga", "fenced", "model.ask"))
                items = [self.number() for _ in range(chance.between(1, 4))]
                return ["map", [what, items, chance.between(1, 3)]]
            if kind in ("seq", "par"):
                return [kind, [self.write(depth + 1) for _ in range(chance.between(1, 4))]]
            return [kind, self.write(depth + 1)]
        kind = chance.pick(
            (
                "keyed",
                "keyed",
                "fenced",
                "fenced",
                "blind",
                "saga",
                "saga",
                "sum.double",
                "office.look",
                "model.ask",
                "sleep",
                "signal",
                "late",
                "approved",
                "sneak",
                "swap",
            )
        )
        if kind in ("sleep", "late"):
            return [kind, chance.between(1, 600)]
        if kind == "signal":
            return [kind, chance.pick(("go", "stop"))]
        return [kind, self.number(kind in ("approved", "sneak", "swap"))]
