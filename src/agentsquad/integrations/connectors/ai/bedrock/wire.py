"""Wire: our request as a Converse call, and what comes back as our reply.

Pure, both ways. A reply of a given shape is asked for through one more tool,
which the model must use to answer; models without tools refuse such a request,
and the refusal is passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.bedrock.eventstream import Frame
from agentsquad.integrations.connectors.ai.contract import MAX_TOKENS, ModelReplyError
from agentsquad.integrations.connectors.ai.failure import Failure
from agentsquad.integrations.connectors.ai.fold import BlockFold, Finish
from agentsquad.integrations.connectors.ai.naming import ToolNames
from agentsquad.integrations.connectors.ai.shape import decode_object, rooted
from agentsquad.workforce.agents.contract import Message, ModelReply, ModelRequest, Usage

_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "filter",
    "content_filtered": "filter",
}


class Conversation:
    """One request and the names it uses; encodes it and reads its answer."""

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self.names = ToolNames(request)
        self.answer_tool = (
            self.names.reserve("answer") if request.output_schema is not None else None
        )

    def encode(self) -> dict[str, Any]:
        """Return the body to post; the model's name is in the path instead."""
        request = self.request
        body: dict[str, Any] = {"messages": _messages(request.messages, self.names)}
        system = [{"text": m.content} for m in request.messages if m.role == "system"]
        if system:
            body["system"] = system
        inference: dict[str, Any] = {"maxTokens": request.max_tokens or MAX_TOKENS}
        if request.temperature is not None:
            inference["temperature"] = request.temperature
        if request.stop:
            inference["stopSequences"] = list(request.stop)
        body["inferenceConfig"] = inference
        tools = self._tools()
        if tools:
            body["toolConfig"] = {"tools": tools}
            if self.answer_tool is not None:
                only = not request.tools
                body["toolConfig"]["toolChoice"] = (
                    {"tool": {"name": self.answer_tool}} if only else {"any": {}}
                )
        return body

    def _tools(self) -> list[dict[str, Any]]:
        offered = [
            (self.names.outward(tool.name), tool.description, tool.schema)
            for tool in self.request.tools
        ]
        if self.answer_tool is not None and self.request.output_schema is not None:
            offered.append(
                (
                    self.answer_tool,
                    "Give the final answer in this shape.",
                    self.request.output_schema,
                )
            )
        return [
            {
                "toolSpec": {
                    "name": name,
                    "description": text,
                    "inputSchema": {"json": rooted(schema)},
                }
            }
            for name, text, schema in offered
        ]

    def decode(self, body: Mapping[str, Any]) -> ModelReply:
        """Return our reply; ModelReplyError when the body is not a Converse
        answer.
        """
        fold = StreamFold("", self)
        try:
            for index, block in enumerate(body["output"]["message"]["content"]):
                fold.whole_block(index, block)
            return fold.end(body["stopReason"], body.get("usage"))
        except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
            raise ModelReplyError("the answer is not a Converse answer") from error


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
                "toolResult": {
                    "toolUseId": message.tool_call_id,
                    "content": [{"text": message.content}],
                }
            }
        ]
    blocks: list[dict[str, Any]] = []
    if message.content:
        blocks.append({"text": message.content})
    for call in message.tool_calls:
        blocks.append(
            {
                "toolUse": {
                    "toolUseId": call.id,
                    "name": names.outward(call.name),
                    "input": call.arguments,
                }
            }
        )
    return blocks


class StreamFold:
    """Folds frames of a ConverseStream, or the blocks of a whole answer, into a
    reply.
    """

    def __init__(self, provider: str, conversation: Conversation) -> None:
        self._provider = provider
        self._model = conversation.request.model
        self._blocks = BlockFold(conversation.names, conversation.answer_tool)
        self._reason: str | None = None
        self._usage: Any = None

    def add(self, frame: Frame) -> str | Failure:
        """Take one frame and return the text in it, or the failure that it
        announces.
        """
        kind = frame.headers.get(":message-type", "event")
        if kind != "event":
            return self._failure(frame)
        event = decode_object(frame.payload, "an event of the stream")
        try:
            return self._event(frame.headers.get(":event-type", ""), event)
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelReplyError("an event of the stream is not a Converse one") from error

    def _event(self, name: str, event: Mapping[str, Any]) -> str:
        if name == "contentBlockDelta":
            return self._delta(event["contentBlockIndex"], event["delta"])
        if name == "contentBlockStart":
            tool = event.get("start", {}).get("toolUse")
            if tool is not None:
                self._blocks.start(
                    event["contentBlockIndex"], "tool", id=tool["toolUseId"], name=tool["name"]
                )
        elif name == "messageStop":
            self._reason = event["stopReason"]
        elif name == "metadata":
            self._usage = event.get("usage")
        return ""

    def _delta(self, index: int, delta: Mapping[str, Any]) -> str:
        if "text" in delta:
            if not self._blocks.knows(index):  # blocks of text are not announced
                return self._blocks.start(index, "text", text=delta["text"])
            return self._blocks.extend(index, delta["text"])
        if "toolUse" in delta:
            return self._blocks.extend(index, delta["toolUse"]["input"])
        return ""

    def _failure(self, frame: Frame) -> Failure:
        code = frame.headers.get(":exception-type") or frame.headers.get(":error-code")
        try:
            body = decode_object(frame.payload, "an exception of the stream")
        except ModelReplyError:
            body = {}
        said = body.get("message") or frame.headers.get(":error-message")
        return Failure(provider=self._provider, code=code, message=said)

    def whole_block(self, index: int, block: Mapping[str, Any]) -> None:
        """Take a block of an answer that was not streamed."""
        if "text" in block:
            self._blocks.start(index, "text", text=block["text"])
        elif "toolUse" in block:
            tool = block["toolUse"]
            text = msgspec.json.encode(tool["input"]).decode()
            self._blocks.start(index, "tool", id=tool["toolUseId"], name=tool["name"], text=text)

    def end(self, reason: str, usage: Any) -> ModelReply:
        """Return the whole of an answer that was not streamed."""
        self._reason, self._usage = reason, usage
        return self.reply()

    def reply(self) -> ModelReply:
        """Return the whole; ModelReplyError when the stream ended before its
        end.
        """
        finish = None if self._reason is None else _FINISH.get(self._reason, "stop")
        return self._blocks.reply(self._model, finish, _usage(self._usage))


def _usage(usage: Any) -> Usage:
    """Count cached tokens as input too: the vendor counts the three kinds
    apart.
    """
    if not isinstance(usage, Mapping):
        return Usage()
    cached = int(usage.get("cacheReadInputTokens") or 0)
    written = int(usage.get("cacheWriteInputTokens") or 0)
    return Usage(
        input_tokens=int(usage.get("inputTokens") or 0) + cached + written,
        output_tokens=int(usage.get("outputTokens") or 0),
        cached_tokens=cached,
    )
