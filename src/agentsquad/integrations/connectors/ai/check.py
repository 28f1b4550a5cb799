"""Check: a handful of small questions that show whether a model does what the
port promises.

Not a measure of how clever it is: text comes back, a stream adds up, a shape is
kept, a tool is called, tokens are counted and time is kept. The conformance
suite asks more, of prepared servers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import ModelDeadlineError, RateWaitError
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ports import Clock
from agentsquad.workforce.agents.contract import Message, Model, ModelRequest, ToolSpec

SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "large": {"type": "boolean"},
    },
    "required": ["city", "large"],
    "additionalProperties": False,
}
TOOL = ToolSpec(
    name="orders.status",
    description="look up the delivery status of one order",
    schema={
        "type": "object",
        "properties": {"order_id": {"type": "integer"}},
        "required": ["order_id"],
        "additionalProperties": False,
    },
)
DEADLINE_MS = 60_000


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one check of one model found; `said` is the reason when it is not
    ok.
    """

    model: str
    check: str
    ok: bool
    said: str
    took_ms: int


async def check_model(name: str, model: Model, clock: Clock) -> list[CheckResult]:
    """Ask one model all questions; a failure is a result, never raised."""
    checks: list[tuple[str, Callable[[str, Model], Awaitable[str]]]] = [
        ("text", _text),
        ("stream", _stream),
        ("shape", _shape),
        ("tool", _tool),
        ("deadline", _deadline),
    ]
    results = []
    for title, check in checks:
        started = clock.monotonic_ms()
        try:
            said, ok = await check(name, model), True
        except SquadError as error:
            said, ok = f"{error.code}: {error.message}", False
        except _FailedError as error:
            said, ok = str(error), False
        took = int(clock.monotonic_ms() - started)
        results.append(CheckResult(model=name, check=title, ok=ok, said=said, took_ms=took))
    return results


class _FailedError(Exception):
    """The model answered, but not as promised."""


def _ask(name: str, text: str, **options: Any) -> ModelRequest:
    return ModelRequest(model=name, messages=(Message(role="user", content=text),), **options)


async def _text(name: str, model: Model) -> str:
    request = _ask(name, "Say hello in one short sentence.", max_tokens=40)
    reply = await model.complete(request, deadline_ms=DEADLINE_MS)
    if not reply.text.strip():
        raise _FailedError("the answer is empty")
    if not reply.usage.output_tokens:
        return "answered; tokens were not counted, so its cost is unknown"
    return f"answered in {reply.usage.output_tokens} tokens"


async def _stream(name: str, model: Model) -> str:
    pieces, whole = [], None
    request = _ask(name, "Count from one to five in words.", max_tokens=40)
    async for chunk in model.stream(request, deadline_ms=DEADLINE_MS):
        pieces.append(chunk.text)
        whole = chunk.reply or whole
    if whole is None:
        raise _FailedError("the stream ended without the whole reply")
    if "".join(pieces) != whole.text:
        raise _FailedError("the pieces do not add up to the reply")
    return f"{len(pieces)} pieces add up"


async def _shape(name: str, model: Model) -> str:
    import jsonschema_rs

    request = _ask(
        name,
        "Name the capital of France and say if it is large.",
        output_schema=SHAPE,
        max_tokens=80,
    )
    reply = await model.complete(request, deadline_ms=DEADLINE_MS)
    try:
        value = msgspec.json.decode(reply.text)
        jsonschema_rs.validate(SHAPE, value)
    except (msgspec.DecodeError, jsonschema_rs.ValidationError) as error:
        raise _FailedError(f"the answer is not of the shape asked for: {error}") from error
    return "kept"


async def _tool(name: str, model: Model) -> str:
    request = _ask(name, "Where is order 4711? Look it up.", tools=(TOOL,), max_tokens=80)
    reply = await model.complete(request, deadline_ms=DEADLINE_MS)
    if not reply.tool_calls:
        raise _FailedError("no tool was called")
    call = reply.tool_calls[0]
    if call.name != TOOL.name or call.arguments.get("order_id") != 4711:
        raise _FailedError(f"called {call.name} with {dict(call.arguments)}")
    return "called with the right argument"


async def _deadline(name: str, model: Model) -> str:
    request = _ask(name, "Write a long story about a lighthouse.", max_tokens=400)
    try:
        await model.complete(request, deadline_ms=1)
    except (ModelDeadlineError, RateWaitError):
        return "kept"
    return "was faster than one millisecond"
