"""A small installation that is served: the real gateway and door, with two
people and an agent who may do everything that policy lets them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import WorkflowContext, workflow
from agentsquad.surfaces.a2a.plugin import plugin as a2a
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.gateway.plugin import scratch
from agentsquad.surfaces.mcp.owner import _Allowed, _Open, _Unmeasured
from agentsquad.surfaces.mcp.routes import routes
from agentsquad.trust.identity.contract import CredentialError, Principal, Shown


class AddInput(msgspec.Struct, kw_only=True):
    """Two numbers."""

    a: Annotated[int, msgspec.Meta(description="one number")]
    b: Annotated[int, msgspec.Meta(description="the other")] = 1


class Sum(msgspec.Struct, kw_only=True):
    """Their sum."""

    sum: int


@action("sums.add", effect=Effect.PURE)
def add(ctx: Context, value: AddInput) -> Sum:
    """Add two numbers."""
    return Sum(sum=value.a + value.b)


class ReportInput(msgspec.Struct, kw_only=True):
    """A file that comes, and one that goes."""

    source: str
    out: str = "report.txt"


class Report(msgspec.Struct, kw_only=True):
    """How long it was."""

    length: int


@action("sums.report", effect=Effect.WRITE, files={"source": "in", "out": "out"})
def report(ctx: Context, value: ReportInput) -> Report:
    """Read a file and write a report."""
    text = Path(value.source).read_text()
    Path(value.out).write_text(f"{len(text)} characters\n")
    return Report(length=len(text))


@action("sums.refuse", effect=Effect.IRREVERSIBLE)
def refuse(ctx: Context, value: AddInput) -> Sum:
    """Always say no."""
    raise ConflictError("somebody was faster", code="sums.late", hint="read again")


@workflow("adding", input=AddInput, output=Sum)
async def adding(ctx: WorkflowContext, value: AddInput) -> Sum:
    """Add durably."""
    found: Sum = await ctx.call("sums.add", value)
    return found


@workflow("asking", input=AddInput, output=Sum)
async def asking(ctx: WorkflowContext, value: AddInput) -> Sum:
    """Ask a person before adding."""
    await ctx.approve("sums.refuse", value, evidence={"n": value.a}, because="it is much")
    return Sum(sum=value.a)


@workflow("patient", input=AddInput, output=Sum)
async def patient(ctx: WorkflowContext, value: AddInput) -> Sum:
    """Wait until it is told to go on."""
    await ctx.signal("go")
    return Sum(sum=value.a)


@workflow("keeping", version="1")
async def keeping(ctx: WorkflowContext, value: dict[str, Any]) -> dict[str, Any]:
    """Give back what was given, files included."""
    return {"given": value}


RULES = """package sums.rules

actions := {"sums.add", "sums.report", "sums.refuse", "approvals.give"}

allow contains {"clause": "sums.rules.all", "reason": "a test"} if true
"""
sums = Plugin(
    name="sums",
    actions=(add, report, refuse),
    workflows=(adding, asking, patient, keeping),
    policies={"sums/rules.rego": RULES},
)


class One:
    """The only namespace there is."""

    def __init__(self, squad: Squad) -> None:
        self.squad = squad

    async def use(self, namespace: str) -> Squad:
        return self.squad

    @asynccontextmanager
    async def lease(self, namespace: str) -> AsyncIterator[Squad]:
        yield self.squad


class Known:
    """Bearer tokens are actors, written out."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    async def recognise(self, shown: Shown) -> Principal:
        name = shown.bearer or ""
        if not name or name in self.revoked:
            raise CredentialError
        return Principal(
            actor=Actor.parse(name), grants={"*": ("admin",)}, credential=f"key:{name}"
        )

    async def confirm(self, principal: Principal) -> Principal:
        return principal


class House:
    """An installation and its gateway."""

    loop: asyncio.AbstractEventLoop
    served_app: Starlette
    home: Path

    def __init__(self, home: Path) -> None:
        variables = {"SQUAD_STORE": "memory:", "SQUAD_USER": "ada", "SQUAD_MODELS": "off"}
        settings = read(variables, home=str(home))
        known = plugins()
        further = [one for one in (a2a,) if one not in known]
        self.squad = Squad(settings, Registry((*known, *further, sums)))
        world = self.squad.world
        self.identity = Known()
        here: Any = One(self.squad)
        self.gateway = ServingGateway(
            world.registry,
            here,
            (_Open(), self.identity, _Allowed()),
            world.clock,
            _Unmeasured(),
            scratch,
        )
        self._tokens = 0

    def token(self) -> str:
        self._tokens += 1
        return f"session-{self._tokens}"

    def app(self, **options: Any) -> Starlette:
        found = routes(self.gateway, self.squad.world.registry, self.squad.world.entropy, **options)
        return Starlette(routes=found)

    async def close(self) -> None:
        await self.gateway.leave(1000)
        await self.squad.close()


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def sync_house(tmp_path: Path) -> Iterator[Any]:
    """The same, with a loop of its own, for tests that are not coroutines."""
    loop = asyncio.new_event_loop()
    made = House(tmp_path)
    made.loop = loop
    made.served_app = made.app()
    yield made
    loop.run_until_complete(made.close())
    loop.close()


Served = Callable[[Any], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def _served(app: Any) -> AsyncIterator[str]:
    import uvicorn

    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    [listening] = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        await serving


@pytest.fixture
def served() -> Served:
    """Serve an application on a free port of loopback."""
    return _served


class Reply(msgspec.Struct):
    """What came over ASGI."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def said(self) -> list[Any]:
        """Return the messages of a stream of events."""
        lines = self.body.decode().split("\n")
        return [json.loads(x[6:]) for x in lines if x.startswith("data: ") and x[6:].strip()]


async def ask(
    app: Any,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    path: str = "/mcp",
) -> Reply:
    """Make one request straight to an application."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {
        "host": "localhost",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "authorization": "Bearer person:ada",
        **{k.lower(): v for k, v in (headers or {}).items()},
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in told.items() if v],
    }
    came: list[Any] = []
    sent = False
    forever = asyncio.Event()

    async def receive() -> Any:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": raw, "more_body": False}
        await forever.wait()

    async def send(message: Any) -> None:
        came.append(message)

    await asyncio.wait_for(app(scope, receive, send), 90)
    start = came[0]
    return Reply(
        start["status"],
        {k.decode(): v.decode() for k, v in start["headers"]},
        b"".join(m.get("body", b"") for m in came[1:]),
    )


def modern(method: str, params: Mapping[str, Any] | None = None, id: Any = 1) -> dict[str, Any]:
    """Return a request of the current revision."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    }
    own = dict(params or {})
    body = {**own, "_meta": {**meta, **own.get("_meta", {})}}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": body}


def stamped(message: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that the current revision wants beside a message."""
    params = message["params"]
    found = {"mcp-protocol-version": "2026-07-28", "mcp-method": message["method"]}
    name = params.get("name", params.get("uri"))
    return {**found, "mcp-name": name} if name is not None else found
