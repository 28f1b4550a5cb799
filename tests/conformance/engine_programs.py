"""Actions and workflows that every engine must carry out alike."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.errors import InvalidError, SquadError, UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import ScopeDeadlineError, workflow
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.resilience.contract import Quote


class N(msgspec.Struct):
    n: int


class Ask(msgspec.Struct):
    n: int


class Side:
    """The world outside: what arrived there, and what it was told to do."""

    def __init__(self) -> None:
        self.received: list[tuple[str, int]] = []
        self.lost: set[str] = set()
        self.looks = 0
        self.hold: asyncio.Event | None = None
        self.staring = asyncio.Event()
        self.now = self.most = 0


SIDE = Side()


def afresh() -> Side:
    """Forget what happened outside."""
    global SIDE
    SIDE = Side()
    return SIDE


@action("math.double", effect=Effect.PURE)
def double(ctx, value: N) -> N:
    """Double; 13 is refused."""
    if value.n == 13:
        raise InvalidError("unlucky", code="math.unlucky")
    return N(value.n * 2)


@action("net.look", effect=Effect.READ)
async def look(ctx, value: N) -> N:
    """Look; 13 is refused, and with 77 the first two looks find nobody."""
    SIDE.looks += 1
    if value.n == 13:
        raise InvalidError("unlucky", code="net.unlucky")
    if value.n == 77 and SIDE.looks < 3:
        raise UnavailableError("nobody there")
    return N(value.n + 100)


@action("net.stare", effect=Effect.READ)
async def stare(ctx, value: N) -> N:
    """Look for as long as it takes."""
    side = SIDE
    side.staring.set()
    side.now += 1
    side.most = max(side.most, side.now)
    try:
        await asyncio.sleep(value.n / 1000)
        if side.hold is not None:
            await side.hold.wait()
    finally:
        side.now -= 1
    return value


@action("world.do", effect=Effect.WRITE, compensate="world.undo", reconcile="world.known")
async def do(ctx, value: N) -> N:
    """Do; 13 is refused, and of multiples of 5 the first answer is lost."""
    if value.n == 13:
        raise InvalidError("unlucky", code="world.unlucky")
    SIDE.received.append((ctx.idempotency_key, value.n))
    if value.n % 5 == 0 and ctx.idempotency_key not in SIDE.lost:
        SIDE.lost.add(ctx.idempotency_key)
        raise UnavailableError("the answer was lost")
    return value


@action("world.undo", effect=Effect.WRITE, reconcile="world.known")
async def undo(ctx, value: dict) -> N:
    """Undo."""
    SIDE.received.append((ctx.idempotency_key, -value["input"]["n"]))
    return N(-value["input"]["n"])


@action("world.known", effect=Effect.READ)
def known(ctx, value: Reconcile) -> Reconciled:
    """Say whether a key arrived."""
    for key, n in SIDE.received:
        if key == value.key:
            return Reconciled(found=True, output={"n": n})
    return Reconciled(found=False)


@action("mail.send", effect=Effect.IRREVERSIBLE)
async def send(ctx, value: N) -> N:
    """Send; with 7 it is never known what became of it."""
    SIDE.received.append((ctx.idempotency_key, value.n))
    if value.n == 7:
        raise UnavailableError("the answer was lost")
    return value


@action("model.ask", effect=Effect.READ)
async def ask(ctx, value: Ask) -> int:
    """Spend."""
    ctx.meter(model="m", cost_micros=100, currency="USD")
    return value.n


class Prices:
    """A model call may cost 120, and costs 100."""

    def appraise(self, action: str, value: Any) -> Quote | None:
        return Quote("USD", 120) if isinstance(value, Ask) else None


# --- workflows


@workflow("steps")
async def steps(ctx, value: N) -> list:
    """One step of each effect."""
    doubled = await ctx.call("math.double", value)
    seen = await ctx.call("net.look", doubled, name="a look")
    done = await ctx.call("world.do", seen)
    sent = await ctx.call("mail.send", done)
    return [doubled.n, seen.n, done.n, sent.n, ctx.random()]


@workflow("failing")
async def failing(ctx, value: N) -> int:
    """An error that nobody catches, after one that is caught."""
    try:
        await ctx.call("net.look", N(13))
    except SquadError as error:
        assert error.code == "net.unlucky"
    return (await ctx.call("world.do", N(13))).n


@workflow("retried")
async def retried(ctx, value: N) -> int:
    again = RetryPolicy(attempts=4, initial_ms=1, max_ms=2)
    return (await ctx.call("net.look", value, retry=again)).n


@workflow("sleeper")
async def sleeper(ctx, value: N) -> bool:
    before = ctx.now_ms()
    await ctx.sleep(value.n)
    return ctx.now_ms() - before >= value.n


@workflow("listener")
async def listener(ctx, value: N) -> list:
    """Two signals of a name, and one that never comes."""
    first = await ctx.signal("go")
    second = await ctx.signal("go")
    try:
        await ctx.signal("never", timeout_ms=value.n)
    except SquadError as error:
        return [first, second, error.code]
    return []


@workflow("approved")
async def approved(ctx, value: N) -> str:
    answer = await ctx.approve(
        "mail.send", value, roles=["boss"], because="it is much", requester="agent:a"
    )
    if not answer.approved:
        return f"refused: {answer.reason}"
    done = await ctx.call("mail.send", value, approval=answer)
    return f"{answer.approver} {done.n}"


@workflow("expiring")
async def expiring(ctx, value: N) -> str:
    try:
        await ctx.approve("mail.send", value, because="?", expires_ms=value.n)
    except SquadError as error:
        return error.code
    return "answered"


@workflow("child")
async def child(ctx, value: N) -> int:
    """Do, and undo when it is stopped or fails."""
    saga = ctx.saga()
    done = await saga.call("world.do", value)
    if value.n == 4:
        await ctx.signal("never-mind")
    return (await ctx.call("math.double", done)).n


@workflow("parent")
async def parent(ctx, value: N) -> list:
    """A child, a keyed one, one that fails, and two side by side."""
    first = await ctx.run("child", N(1))
    keyed = await ctx.run("child", N(2), key="two")
    try:
        await ctx.run("child", N(13))
    except SquadError as error:
        failed = error.code
    both = await ctx.parallel(ctx.run("child", N(3)), ctx.run("child", N(6)))
    return [first, keyed, failed, both]


@workflow("wide")
async def wide(ctx, value: N) -> list:
    """A map, limited, with branches of several steps."""

    async def one(n: int) -> int:
        seen = await ctx.call("net.look", N(n))
        return (await ctx.call("math.double", seen)).n

    return await ctx.map(one, range(value.n), limit=3)


@workflow("saga")
async def saga(ctx, value: N) -> int:
    undoing = ctx.saga()
    for n in (1, 2, 3):
        await undoing.call("world.do", N(n))
    await ctx.call("net.look", value)
    return 0


@workflow("stopped")
async def stopped(ctx, value: N) -> int:
    """Waits in several ways, with something to undo, until it is cancelled."""
    undoing = ctx.saga()
    await undoing.call("world.do", N(1))
    await ctx.parallel(
        ctx.run("child", N(4)), ctx.signal("never"), ctx.sleep(600_000), ctx.call("net.stare", N(0))
    )
    return 0


@workflow("unanswered")
async def unanswered(ctx, value: N) -> str:
    """Ask somebody, for a while; then go on without."""
    try:
        async with ctx.scope(timeout_ms=value.n):
            await ctx.approve("mail.send", value, roles=["boss"], because="large")
    except ScopeDeadlineError as error:
        await ctx.signal("go")
        return error.code
    return "answered"


@workflow("starer")
async def starer(ctx, value: N) -> int:
    """Stare."""
    return (await ctx.call("net.stare", value)).n


@workflow("scoped")
async def scoped(ctx, value: N) -> list:
    """Stare, and wait, for a while; then pay."""
    found = []
    try:
        async with ctx.scope(timeout_ms=value.n):
            await ctx.parallel(ctx.call("net.stare", N(60_000)), ctx.signal("never"))
    except ScopeDeadlineError as error:
        found.append(error.code)
    return [*found, (await ctx.call("world.do", N(1))).n]


@workflow("raced")
async def raced(ctx, value: N) -> list:
    """Take the first of two looks, one of which takes for ever, or of a look
    and somebody's answer."""
    first = await ctx.race(ctx.call("net.stare", N(60_000)), ctx.call("net.look", value))
    asked = ctx.approve("mail.send", value, roles=["boss"], because="large")
    second = await ctx.race(asked, ctx.call("net.look", N(value.n + 1)))
    await ctx.signal("go")
    return [first.n, second.n]


@workflow("limited", timeout_ms=150)
async def limited(ctx, value: N) -> int:
    """Takes longer than it may."""
    undoing = ctx.saga()
    await undoing.call("world.do", N(1))
    await ctx.signal("never")
    return 0


@workflow("slow-step")
async def slow_step(ctx, value: N) -> str:
    try:
        await ctx.call("net.stare", N(5_000), timeout_ms=50)
    except SquadError as error:
        return error.code
    return "quick"


@workflow("spender")
async def spender(ctx, value: N) -> list:
    """Asks a model one by one, until the budget says no."""
    said: list[Any] = []
    for n in range(value.n):
        try:
            said.append(await ctx.call("model.ask", Ask(n)))
        except SquadError as error:
            said.append(error.code)
    return said


@workflow("asked")
async def asked(ctx, value: N) -> int:
    """Answers queries and takes updates until it is told to go."""
    total = {"n": value.n}

    @ctx.on_query("total")
    def tell() -> int:
        return total["n"]

    def positive(one: N) -> bool:
        return one.n > 0

    @ctx.on_update("add", validator=positive)
    async def add(one: N) -> int:
        seen = await ctx.call("math.double", one)
        total["n"] += seen.n
        return total["n"]

    await ctx.signal("go")
    return total["n"]


@workflow("crowd")
async def crowd(ctx, value: N) -> list:
    """Everything at once."""
    stared = await ctx.map(lambda n: ctx.call("net.stare", N(n)), range(value.n), limit=value.n)
    children = await ctx.parallel(*(ctx.run("child", N(n)) for n in (1, 2, 3, 6)))
    return [[one.n for one in stared], children]


@workflow("decided")
async def decided(ctx, value: N) -> list:
    decision = await ctx.decide("mail.send", value)
    said = await ctx.query("data.some.rule", {"n": value.n})
    return [decision.allow, said]


@workflow("endless")
async def endless(ctx, value: N) -> int:
    """Many steps, in loops and in branches."""
    total = 0
    for n in range(value.n):
        total += (await ctx.call("math.double", N(100 + n))).n
        if n % 10 == 0:
            seen = await ctx.map(lambda k: ctx.call("net.look", N(k)), range(4), limit=2)
            total += sum(one.n for one in seen)
    return total


PLUGIN = Plugin(
    name="programs",
    actions=(double, look, stare, do, undo, known, send, ask),
    workflows=(
        steps, failing, retried, sleeper, listener, approved, expiring, child, parent, wide,
        saga, stopped, limited, slow_step, spender, asked, crowd, decided, endless,
        unanswered, scoped, raced, starer,
    ),
)  # fmt: skip
