"""Wire: our request as an Anthropic message, and what comes back as our reply.

Pure, both ways. A reply of a given shape is asked for natively where the model
enforces closed schemas; older models get one more tool, which they must use to
answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import MAX_TOKENS, ModelReplyError
from agentsquad.integrations.connectors.ai.failure import Failure
from agentsquad.integrations.connectors.ai.fold import BlockFold, Finish
from agentsquad.integrations.connectors.ai.naming import ToolNames
from agentsquad.integrations.connectors.ai.shape import closed, rooted
from agentsquad.workforce.agents.contract import (
    Message,
    ModelReply,
    ModelRequest,
    Usage,
)

VERSION = "2026-10-21"
VERSION_WITH_SAMPLING = "2023-06-01"  # the last one that takes a temperature
_LEGACY = re.compile(r"^claude-(v?[12]|instant|3)\b")
_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "filter",
}


class Conversation:
    """One request and the names it uses; encodes it and reads its answer."""

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self.names = ToolNames(request)
        schema = request.output_schema
        native = schema is not None and closed(schema) and not _LEGACY.match(request.model)
        self.answer_tool = (
            self.names.reserve("answer") if schema is not None and not native else None
        )
        self._native = native

    @property
    def version(self) -> str:
        """The API version to name: the latest that accepts this request."""
        return VERSION if self.request.temperature is None else VERSION_WITH_SAMPLING

    def encode(self, *, stream: bool) -> dict[str, Any]:
        """Return the body to post."""
        request = self.request
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens or MAX_TOKENS,
            "messages": _messages(request.messages, self.names),
        }
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        if system:
            body["system"] = system
        tools = self._tools()
        if tools:
            body["tools"] = tools
        if self.answer_tool is not None:
            only = not request.tools
            body["tool_choice"] = (
                {"type": "tool", "name": self.answer_tool} if only else {"type": "any"}
            )
        if self._native and request.output_schema is not None:
            body["output_config"] = {
                "format": {"type": "json_schema", "schema": rooted(request.output_schema)}
            }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        if stream:
            body["stream"] = True
        return body

    def _tools(self) -> list[dict[str, Any]]:
        tools: list[dict[str, Any]] = [
            {
                "name": self.names.outward(tool.name),
                "description": tool.description,
                "input_schema": rooted(tool.schema),
            }
            for tool in self.request.tools
        ]
        if self.answer_tool is not None and self.request.output_schema is not None:
            tools.append(
                {
                    "name": self.answer_tool,
                    "description": "Give the final answer in this shape.",
                    "input_schema": rooted(self.request.output_schema),
                }
            )
        return tools

    def decode(self, body: Mapping[str, Any]) -> ModelReply:
        """Return our reply; ModelReplyError when the body is not a message."""
        fold = StreamFold("", self)
        try:
            fold.begin(body)
            for index, block in enumerate(body["content"]):
                fold.whole_block(index, block)
            fold.end(body)
            return fold.reply()
        except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
            raise ModelReplyError(
                "the answer is not an Anthropic message",
                hint="check that 'endpoint' ends where /messages begins, e.g. …/v1",
            ) from error


def _messages(messages: tuple[Message, ...], names: ToolNames) -> list[dict[str, Any]]:
    """Return alternating turns: what follows in the same role is one turn of
    several blocks.
    """
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, names)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message, names: ToolNames) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [
            {
                "type": "tool_result",
                "tool_use_id": message.tool_call_id,
                "content": message.content,
            }
        ]
    blocks: list[dict[str, Any]] = []
    if message.content:  # an empty text block is refused
        blocks.append({"type": "text", "text": message.content})
    for call in message.tool_calls:
        blocks.append(
            {
                "type": "tool_use",
                "id": call.id,
                "name": names.outward(call.name),
                "input": call.arguments,
            }
        )
    return blocks


class StreamFold:
    """Folds stream events, or the blocks of a whole message, into a reply."""

    def __init__(self, provider: str, conversation: Conversation) -> None:
        self._provider = provider
        self._blocks = BlockFold(conversation.names, conversation.answer_tool)
        self._model = conversation.request.model
        self._reason: str | None = None
        self._usage: dict[str, Any] = {}

    def add(self, event: Mapping[str, Any]) -> str | Failure:
        """Take one event and return the text in it, or the failure that it
        announces.
        """
        try:
            kind = event.get("type")
            if kind == "content_block_delta":
                return self._delta(event["index"], event["delta"])
            if kind == "content_block_start":
                return self._start(event["index"], event["content_block"])
            if kind == "message_start":
                self.begin(event["message"])
            elif kind == "message_delta":
                self.end({**event["delta"], "usage": event.get("usage")})
            elif kind == "error":
                error = event.get("error") or {}
                return Failure(
                    provider=self._provider, code=error.get("type"), message=error.get("message")
                )
        except (KeyError, TypeError, AttributeError) as error_:
            raise ModelReplyError("an event of the stream is not an Anthropic one") from error_
        return ""

    def begin(self, message: Mapping[str, Any]) -> None:
        """Read what the head of a message says."""
        self._model = message.get("model") or self._model
        self._usage.update(_present(message.get("usage")))

    def end(self, message: Mapping[str, Any]) -> None:
        """Read what the end of a message says; its counts replace the first
        ones.
        """
        self._reason = message.get("stop_reason") or self._reason
        self._usage.update(_present(message.get("usage")))

    def whole_block(self, index: int, block: Mapping[str, Any]) -> None:
        """Take a block of a message that was not streamed."""
        self._start(index, block)
        if block["type"] == "tool_use":
            self._blocks.extend(index, msgspec.json.encode(block["input"]).decode())

    def _start(self, index: int, block: Mapping[str, Any]) -> str:
        if block["type"] == "text":
            return self._blocks.start(index, "text", text=block.get("text") or "")
        if block["type"] == "tool_use":
            return self._blocks.start(index, "tool", id=block["id"], name=block["name"])
        return self._blocks.start(index, "other")

    def _delta(self, index: int, delta: Mapping[str, Any]) -> str:
        if delta["type"] == "text_delta":
            return self._blocks.extend(index, delta["text"])
        if delta["type"] == "input_json_delta":
            return self._blocks.extend(index, delta["partial_json"])
        return ""

    def reply(self) -> ModelReply:
        """Return the whole; ModelReplyError when the stream ended before its
        end.
        """
        finish = None if self._reason is None else _FINISH.get(self._reason, "stop")
        return self._blocks.reply(self._model, finish, _usage(self._usage))


def _present(usage: Any) -> dict[str, Any]:
    if not isinstance(usage, Mapping):
        return {}
    return {key: value for key, value in usage.items() if value is not None}


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Count cached tokens as input too: the vendor counts the three kinds
    apart.
    """
    cached = int(usage.get("cache_read_input_tokens", 0))
    written = int(usage.get("cache_creation_input_tokens", 0))
    return Usage(
        input_tokens=int(usage.get("input_tokens", 0)) + cached + written,
        output_tokens=int(usage.get("output_tokens", 0)),
        cached_tokens=cached,
    )
