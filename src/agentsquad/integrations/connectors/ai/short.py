"""Short: replies written briefly, for models that are not models.

Rules and scripts answer with text, a JSON object or a tool call; here it
becomes the reply it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.canonical import dumps
from agentsquad.workforce.agents.contract import Chunk, ModelReply, ToolCall, Usage

FREE = Usage(cost_micros=0)
Short = str | Mapping[str, Any] | ToolCall | ModelReply


def as_reply(value: Short, model: str, usage: Usage) -> ModelReply:
    """Return the reply that a short form stands for: text, a JSON object, or a
    tool call.
    """
    if isinstance(value, ModelReply):
        return value
    if isinstance(value, ToolCall):
        return ModelReply(
            model=model, text="", tool_calls=(value,), finish="tool_calls", usage=usage
        )
    text = value if isinstance(value, str) else dumps(msgspec.to_builtins(value)).decode()
    return ModelReply(model=model, text=text, usage=usage)


def chunks_of(reply: ModelReply) -> Iterable[Chunk]:
    """Cut a reply into pieces as a stream would bring them."""
    start = 0
    for end in range(1, len(reply.text) + 1):
        if end == len(reply.text) or reply.text[end - 1] == " ":
            yield Chunk(text=reply.text[start:end])
            start = end
    yield Chunk(reply=reply)
