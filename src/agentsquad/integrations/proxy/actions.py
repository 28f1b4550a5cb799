"""Actions of the proxy: serve an agent live or from a recording, the two steps
of a session, and dead letters."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy import dead, replaying
from agentsquad.integrations.proxy.answering import LiveAnswerer
from agentsquad.integrations.proxy.contract import (
    FORWARD,
    TAKE,
    Answered,
    Answerer,
    Forward,
    Listener,
    Programs,
    ProxyCommandError,
    ProxyInterruptedError,
)
from agentsquad.integrations.proxy.desk import Desk
from agentsquad.integrations.proxy.replaying import Divergence, Recording
from agentsquad.integrations.proxy.serving import Sessions, forwarder, metered, surroundings
from agentsquad.integrations.proxy.session import Take, Taken
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import TABLE, IntegrityError, InvalidError
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.runtime.engine.contract import Stopping
from agentsquad.runtime.engine.runs import find
from agentsquad.runtime.ledger.blob import externalise
from agentsquad.runtime.resilience.guard import Call

HERE = "it listens on this machine and starts a program on it"
DIVERGED = TABLE[IntegrityError].exit
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ProxyInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve, and whom."""

    command: Annotated[
        list[str],
        Meta(description="the agent to start, after --", examples=[["--", "python", "agent.py"]]),
    ] = []
    listen: Annotated[
        str,
        Meta(description="address to listen on; port 0 is a free one", examples=["127.0.0.1:8425"]),
    ] = "127.0.0.1:0"
    replay: Annotated[
        str | None, Meta(description="answer from this recorded run, never from a model")
    ] = None
    budget: Annotated[
        str | None,
        Meta(description="most that a session may cost, with its currency", examples=["5.00USD"]),
    ] = None
    agent_to_stderr: Annotated[
        bool,
        Meta(description="what the agent prints goes to the standard error, beside the output"),
    ] = False


class ProxyOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What was served: the runs that record it, or how far a replay agreed."""

    runs: list[str]
    requests: int
    ended: int
    replayed: str | None = None
    left: int = 0
    diverged: Divergence | None = None

    @property
    def exit_code(self) -> int:
        """That of the agent; 11 where a replay went another way."""
        return DIVERGED if self.diverged is not None else self.ended


@action(
    "proxy.run",
    effect=Effect.WRITE,
    cli=("proxy",),
    positional=("command",),
    local=HERE,
    examples=(
        "squad proxy -- python agent.py",
        "squad proxy --budget 2.00USD -- python agent.py",
        "squad proxy --replay 01m8 -- python agent.py",
        "squad proxy --listen 127.0.0.1:8425",
    ),
)
async def run_proxy(ctx: Context, value: ProxyInput) -> ProxyOutput:
    """Record any agent that speaks to OpenAI or Anthropic, or answer it from a
    recording.

    The agent finds the proxy by OPENAI_BASE_URL and ANTHROPIC_BASE_URL and a
    key that is good here only; the real keys stay with this process. Each of
    its requests is written down before it is sent, asked about at policy, and
    paid from budgets. Without a command it serves until it is told to end.
    """
    host, port = read_address(value.listen)
    key = f"sqp_{ctx.token(16).hex()}"
    if value.replay is not None:
        return await _replay(ctx, value, host, port, key)
    sessions = Sessions(ctx, program_of(value.command), value.budget)
    if value.command:
        await sessions.session()  # so that a store that is busy is heard of at once
    try:
        code = await _serve(ctx, value, LiveAnswerer(key, sessions.session), (host, port, key))
    finally:
        runs, requests = sessions.runs, sessions.requests
        await asyncio.shield(sessions.close())
    return ProxyOutput(runs=runs, requests=requests, ended=code)


async def _replay(ctx: Context, value: ProxyInput, host: str, port: int, key: str) -> ProxyOutput:
    store, blobs = ctx.port(EventStore), ctx.port(BlobStore)  # type: ignore[type-abstract]
    run = await find(store, value.replay or "")
    recording = Recording(await replaying.entries(await store.read_stream(f"run/{run}"), blobs))
    answerer = replaying.ReplayAnswerer(key, recording)
    code = await _serve(ctx, value, answerer, (host, port, key))
    verdict = recording.verdict() if value.command else recording.divergence
    return ProxyOutput(
        runs=[],
        requests=recording.asked,
        ended=code,
        replayed=run,
        left=recording.left,
        diverged=verdict,
    )


async def _serve(
    ctx: Context, value: ProxyInput, answerer: Answerer, where: tuple[str, int, str]
) -> int:
    """Serve while the agent runs, or until this process is to end."""
    host, port, key = where
    programs = ctx.port(Programs)  # type: ignore[type-abstract]
    listening = await ctx.port(Listener).listen(answerer, host, port)  # type: ignore[type-abstract]
    try:
        added = surroundings(listening.address, key)
        if value.command:
            return await programs.run(value.command, added, (), aside=value.agent_to_stderr)
        await programs.announce(added)
        await ctx.port(Stopping).told()  # type: ignore[type-abstract]
        return 0
    finally:
        await listening.close()


@action(TAKE, effect=Effect.READ, cli=())
async def take(ctx: Context, value: Take) -> Taken:
    """Return the requests that an agent makes, as soon as there are any."""
    session = ctx.port(Desk).session(value.session)
    if session is None:
        return Taken(end=True)  # whoever served it is gone
    exchanges, end = await session.take()
    sender = forwarder(ctx)
    blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
    rules = await sender.rules()
    items = []
    for exchange in exchanges:
        quote = await sender.quote(exchange.request, len(exchange.data))
        patterns = sorted({one for rule in rules for one in rule.personal})
        items.append(await session.write_down(exchange, quote, patterns, blobs))
    return Taken(items=items, end=end)


@action(FORWARD, effect=Effect.READ, cli=())
async def forward(ctx: Context, value: Forward) -> Answered:
    """Send an agent's request to what answers for its model, and return what
    came back."""
    session = ctx.port(Desk).of_run(ctx.run_id or "")
    exchange = None if session is None else session.exchanges.get(value.n)
    if exchange is None:
        raise ProxyInterruptedError()
    call = Call(ctx.run_id or "", f"{value.n}")
    whole, usage = await forwarder(ctx).forward(exchange, call, ctx.idempotency_key)
    use = metered(whole, usage, exchange.request)
    if use:
        ctx.meter(request=value.digest, **use)
    exchange.whole = whole
    blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
    if any(rule.personal for rule in await forwarder(ctx).rules()):
        return whole.answered  # what is about people is sealed, and stands in no blob
    body = await externalise(whole.answered.body, blobs)
    events = await externalise(whole.answered.events, blobs)
    return msgspec.structs.replace(whole.answered, body=body, events=events)


class DeadListInput(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is asked: all dead letters are listed."""


class DeadList(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were given up."""

    items: list[dead.Letter]


@action(
    "proxy.dead",
    effect=Effect.READ,
    cli=("proxy", "dead", "list"),
    examples=("squad proxy dead list",),
)
async def list_dead(ctx: Context, value: DeadListInput) -> DeadList:
    """List the requests that were given up and not sent again yet."""
    return DeadList(items=await dead.letters(ctx.port(EventStore)))  # type: ignore[type-abstract]


class DeadRetryInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which letter."""

    letter: Annotated[
        str,
        Meta(description="its id, as the list shows it", examples=["01m8566w5hfz1hryr4kpgnjvvq#3"]),
    ]


class DeadRetryOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the run that records it and what was answered."""

    run: str
    status: int
    answered: bool
    why: str = ""

    @property
    def exit_code(self) -> int:
        """9 when it was given up again."""
        return 0 if self.answered else 9


@action(
    "proxy.retry",
    effect=Effect.WRITE,
    cli=("proxy", "dead", "retry"),
    positional=("letter",),
    examples=("squad proxy dead retry 01m8566w5hfz1hryr4kpgnjvvq#3",),
)
async def retry_dead(ctx: Context, value: DeadRetryInput) -> DeadRetryOutput:
    """Send a request that was given up again, as a run of its own.

    Nobody waits for the answer any more; it is in the log.
    """
    store, blobs = ctx.port(EventStore), ctx.port(BlobStore)  # type: ignore[type-abstract]
    entry = await dead.letter(store, blobs, value.letter)
    sessions = Sessions(ctx, "dead letter")
    session = await sessions.session("", value.letter)
    try:
        data = b"" if entry.body is None else msgspec.json.encode(entry.body)
        method = apis.APIS[entry.api].method
        request = apis.read(method, entry.path, {}, data)._replace(api=apis.APIS[entry.api])
        exchange = session.ask(request, data, entry.headers)
        if request.stream:
            exchange.leave_unread()
        await exchange.done
    finally:
        await asyncio.shield(sessions.close())
    whole = exchange.whole
    if exchange.error is not None or whole is None:
        error: Any = exchange.error or {}
        return DeadRetryOutput(
            run=session.run,
            status=apis.status_of(error),
            answered=False,
            why=str(error.get("message", "")),
        )
    why, _ = dead.reason({"output": msgspec.to_builtins(whole.answered)})
    return DeadRetryOutput(run=session.run, status=whole.answered.status, answered=not why, why=why)


def read_address(text: str) -> tuple[str, int]:
    """Return (host, port) of "127.0.0.1:0"; only this machine's own addresses
    are served without a server in front."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidError(
            f"{text!r} is no address", code="proxy.address", hint="write --listen 127.0.0.1:0"
        )
    if host not in LOOPBACK:
        raise InvalidError(
            f"the proxy holds real keys and listens on this machine only, not on {host}",
            code="proxy.address",
            hint="squad up serves it to others, with their own keys",
        )
    return host, int(port)


def program_of(command: list[str]) -> str:
    """Return how a command is recorded: its program and script, without what
    else was given, which may be secret."""
    if command and not command[0].strip():
        raise ProxyCommandError("the command is empty", hint="squad proxy -- python agent.py")
    shown: list[str] = []
    for part in command[:2]:
        if shown and (part.startswith("-") or "=" in part):
            break
        shown.append(part.rpartition("/")[2])
    return " ".join(shown)[:100]
