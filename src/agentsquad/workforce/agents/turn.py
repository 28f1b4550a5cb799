"""The turn: an agent's work as a run of its own.

Each model call and each tool call is a step of this run, so a crash in the
middle never pays for a finished call again, and a replay never makes one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import (
    DeadlineError,
    InvalidError,
    LimitError,
    SquadError,
    UnavailableError,
)
from agentsquad.kernel.schema import problems
from agentsquad.runtime.engine.contract import WorkflowContext, workflow
from agentsquad.workforce.agents import prompt
from agentsquad.workforce.agents.contract import (
    AgentOutputError,
    AgentTurnsError,
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolSpec,
)

TURNS = 12  # model calls in one turn before it is given up
REPAIRS = 2  # times an answer that does not fit is sent back


class TurnInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which agent, on what."""

    agent: str
    input: Any = None
    task: str | None = None
    instead_of: tuple[str, ...] = ()


class Briefing(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it stood when the turn began; its digest pins the turn.

    `elsewhere` says of each tool of another system by which action it is
    called, and the digest it was pinned with.
    """

    name: str
    digest: str
    spec: dict[str, Any]
    tools: tuple[ToolSpec, ...] = ()
    memory: tuple[Any, ...] = ()
    elsewhere: dict[str, list[str]] = {}


@workflow("agent-turn", uses=(prompt,))
async def agent_turn(ctx: WorkflowContext, value: TurnInput) -> Any:
    """Let an agent think, call its tools and answer in the shape it promised.

    Where its model cannot be had before it has used a tool, the agent it names
    as `fallback` takes the turn.
    """
    briefing = await ctx.call("agents.brief", {"agent": value.agent})
    other = briefing.spec.get("fallback")
    if other is None or other in value.instead_of:
        return await _think(ctx, value, briefing, [])
    used: list[str] = []
    try:
        return await _think(ctx, value, briefing, used)
    except (UnavailableError, DeadlineError, LimitError):
        if used:
            raise
        instead = TurnInput(
            agent=other,
            input=value.input,
            task=value.task,
            instead_of=(*value.instead_of, value.agent),
        )
        return await ctx.run("agent-turn", instead)


async def _think(
    ctx: WorkflowContext, value: TurnInput, briefing: Briefing, used: list[str]
) -> Any:
    """Go on until there is an answer; `used` takes the tools that were
    called."""
    spec = briefing.spec
    schema = spec.get("outputSchema")
    messages = prompt.opening(spec, value.task, value.input, briefing.memory)
    repairs = 0
    for _ in range(TURNS):
        reply: ModelReply = await ctx.call(
            "models.generate",
            ModelRequest(
                model=spec.get("model") or "default",
                messages=messages,
                tools=briefing.tools,
                output_schema=schema,
                temperature=spec.get("temperature"),
                max_tokens=spec.get("maxTokens"),
                seed=spec.get("seed"),
            ),
        )
        if reply.tool_calls:
            used += [call.name for call in reply.tool_calls]
            results = [await _tool(ctx, briefing, call) for call in reply.tool_calls]
            messages = (
                *messages,
                Message(role="assistant", content=reply.text, tool_calls=reply.tool_calls),
                *results,
            )
            continue
        output, wrong = read_answer(reply.text, schema)
        if not wrong:
            return output
        if repairs == REPAIRS:
            raise AgentOutputError(
                f"{value.agent} answered {REPAIRS + 1} times in another shape: {wrong}",
                details={"agent": value.agent, "problems": wrong},
            )
        repairs += 1
        messages = (
            *messages,
            Message(role="assistant", content=reply.text),
            Message(role="user", content=f"That does not fit: {wrong}. Answer again, JSON only."),
        )
    raise AgentTurnsError(
        f"{value.agent} made {TURNS} model calls without an answer", details={"agent": value.agent}
    )


async def _tool(ctx: WorkflowContext, briefing: Briefing, call: ToolCall) -> Message:
    if call.name not in {tool.name for tool in briefing.tools}:
        content: Any = {"error": {"code": "tool.unknown", "message": f"no tool {call.name!r}"}}
    else:
        action, value = call.name, dict(call.arguments)
        if call.name in briefing.elsewhere:
            action, digest = briefing.elsewhere[call.name]
            value = {"tool": call.name, "arguments": value, "digest": digest}
        try:
            content = await ctx.call(action, value, facts={"agent": briefing.name, "model": True})
        except SquadError as error:
            content = {"error": error.to_dict()}
    text = canonical.dumps(msgspec.to_builtins(content)).decode()
    return Message(role="tool", content=text, tool_call_id=call.id)


def read_answer(text: str, schema: Any) -> tuple[Any, str]:
    """Return the answer and what is wrong with it; without a schema text is
    fine."""
    if schema is None:
        return text, ""
    try:
        value = canonical.loads(text)
    except InvalidError as error:
        return None, f"not JSON: {error.message}"
    wrong = [f"{one.at or '/'}: expected {one.expected}" for one in problems(schema, value)]
    return value, "; ".join(wrong[:5])
