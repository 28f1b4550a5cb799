"""Actions of agents: the briefing a turn begins with, one model call, and a
look at agents."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel import hashing
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import UnsupportedError
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.decider import plain
from agentsquad.trust.threats.contract import InjectionError, Screen
from agentsquad.workforce.agents.contract import (
    AgentCatalogue,
    ModelCatalogue,
    ModelReply,
    ModelRequest,
    Toolbox,
    ToolSpec,
)
from agentsquad.workforce.agents.turn import Briefing

GENERATE_MS = 300_000  # longest that one answer of a model may take


class BriefInput(msgspec.Struct, kw_only=True):
    """Which agent."""

    agent: Annotated[str, Meta(description="name of the agent")]


@action("agents.brief", effect=Effect.READ, cli=())
async def brief(ctx: Context, value: BriefInput) -> Briefing:
    """Return an agent as it stands now: its resource, its tools and what it
    remembers."""
    resource = await ctx.port(AgentCatalogue).agent(value.agent)  # type: ignore[type-abstract]
    spec = dict(resource["spec"])
    registry = ctx.port(Registry)
    named = spec.get("tools") or ()
    tools = [tool_spec(registry, name) for name in named if "/" not in name]
    elsewhere: dict[str, list[str]] = {}
    for name in [name for name in named if "/" in name]:
        box = ctx.port(Toolbox)  # type: ignore[type-abstract]
        for one in await box.offered(ctx.port(EventStore), name):  # type: ignore[type-abstract]
            if one.spec.name not in elsewhere:
                tools.append(one.spec)
                elsewhere[one.spec.name] = [one.action, one.digest]
    memory = spec.get("memory") or {}
    remembered: tuple[Any, ...] = ()
    if memory.get("kind") not in (None, "none") and ctx.run_id:
        remembered = await recall(
            ctx.port(EventStore),  # type: ignore[type-abstract]
            ctx.run_id,
            value.agent,
            int(memory.get("limit", 5)),
        )
    return Briefing(
        name=value.agent,
        digest=hashing.digest(spec),
        spec=spec,
        tools=tuple(tools),
        memory=remembered,
        elsewhere=elsewhere,
    )


def tool_spec(registry: Registry, name: str) -> ToolSpec:
    """Return an action as a tool a model can be offered."""
    spec = registry.action(name).spec
    return ToolSpec(name=name, description=spec.summary, schema=_schema(spec.input))


@lru_cache(maxsize=512)
def _schema(shape: Any) -> dict[str, Any]:
    return msgspec.json.schema(shape) if shape is not Any else {"type": "object"}


async def recall(store: EventStore, run: str, agent: str, limit: int) -> tuple[Any, ...]:
    """Return what the agent answered in earlier turns under the same root
    run."""
    root = run.partition("/")[0]
    found = []
    for name, _ in await store.streams(f"run/{root}"):
        if name == f"run/{run}":
            continue
        events = await store.read_stream(name)
        body = events[0].payload or {}
        if body.get("workflow") == "agent-turn" and (body.get("input") or {}).get("agent") == agent:
            last = events[-1]
            if last.type == "run.completed":
                found.append((last.seq, (last.payload or {}).get("output")))
    found.sort(key=lambda pair: pair[0])
    return tuple(output for _, output in found[-limit:])


@action(
    "models.generate",
    effect=Effect.READ,
    cli=(),
    timeout_ms=GENERATE_MS,
)
async def generate(ctx: Context, value: ModelRequest) -> ModelReply:
    """Ask a model once; what guards it repeats what may be repeated.

    Tokens, cost and the request's hash are recorded with the answer, and what
    was seen in the texts it reads that speaks to the model.
    """
    seen = _screened(ctx, value)
    model = ctx.port(ModelCatalogue).model(value.model)  # type: ignore[type-abstract]
    left = ctx.time_left_ms()
    hurry = {"deadline_ms": left} if left is not None and left < GENERATE_MS else {}
    reply = await model.complete(value, **hurry)
    ctx.meter(
        kind="model",
        provider=model.provider,
        model=reply.model,
        request=hashing.digest(plain(value)),
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        cached_tokens=reply.usage.cached_tokens,
        cost_micros=reply.usage.cost_micros,
        currency=reply.usage.currency,
        price_date=reply.usage.price_date,
        **seen,
    )
    return reply


def _screened(ctx: Context, value: ModelRequest) -> dict[str, Any]:
    """Return what to record of the texts that came since the last answer;
    InjectionError where such texts are refused."""
    try:
        screen: Screen = ctx.port(Screen)  # type: ignore[type-abstract]
    except UnsupportedError:  # nobody mounted one
        return {}
    fresh: list[str] = []
    for message in reversed(value.messages):
        if message.role == "assistant":
            break
        if message.role in ("user", "tool"):
            fresh.append(message.content)
    found = screen.look(fresh)
    if found.attempt and screen.blocks:
        raise InjectionError(details={"rules": list(found.rules), "score": found.score})
    return {"screened": {"rules": list(found.rules), "score": found.score}} if found.attempt else {}
