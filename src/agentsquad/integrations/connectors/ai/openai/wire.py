"""Wire: our request as a chat completion, and what comes back as our reply.

Pure, both ways. Written for the real API and for the many servers that almost
speak it: what they leave out (indexes, usage, the finish reason "tool_calls")
is tolerated, what they get wrong is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from agentsquad.integrations.connectors.ai.contract import MAX_TOKENS, ModelReplyError
from agentsquad.integrations.connectors.ai.failure import Failure
from agentsquad.integrations.connectors.ai.naming import ToolNames
from agentsquad.integrations.connectors.ai.shape import closed, decode_object, rooted
from agentsquad.workforce.agents.contract import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    Usage,
)

Finish = Literal["stop", "length", "tool_calls", "filter"]

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filter",
}


def encode(
    request: ModelRequest, names: ToolNames, *, limit_field: str, stream: bool
) -> dict[str, Any]:
    """Return the body to post; `limit_field` is how this server spells the
    token limit.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message, names) for message in request.messages],
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": names.outward(tool.name),
                    "description": tool.description,
                    "parameters": rooted(tool.schema),
                },
            }
            for tool in request.tools
        ]
    if request.output_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": rooted(request.output_schema),
                "strict": closed(request.output_schema),
            },
        }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    body[limit_field] = request.max_tokens or MAX_TOKENS
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _message(message: Message, names: ToolNames) -> dict[str, Any]:
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": message.content,
        }
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    return {
        "role": message.role,
        "content": message.content or None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": names.outward(call.name),
                    "arguments": msgspec.json.encode(call.arguments).decode(),
                },
            }
            for call in message.tool_calls
        ],
    }


def decode_reply(body: Mapping[str, Any], request: ModelRequest, names: ToolNames) -> ModelReply:
    """Return our reply; ModelReplyError when the body is not a chat
    completion.
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        text = message.get("content") or message.get("refusal") or ""
        calls = tuple(
            ToolCall(
                id=call.get("id") or f"call_{number}",
                name=names.inward(call["function"]["name"]),
                arguments=decode_object(
                    call["function"].get("arguments") or "", "the arguments of a tool call"
                ),
            )
            for number, call in enumerate(message.get("tool_calls") or ())
        )
        refused = bool(message.get("refusal"))
        return ModelReply(
            model=body.get("model") or request.model,
            text=text,
            tool_calls=calls,
            finish=_finish(choice.get("finish_reason"), bool(calls), refused),
            usage=read_usage(body.get("usage")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ModelReplyError(
            "the answer is not a chat completion",
            hint="check that 'endpoint' ends where /chat/completions begins, e.g. …/v1",
        ) from error


def read_usage(usage: Any) -> Usage:
    """Return the token counts; a server that sends none leaves them at zero,
    unpriced.
    """
    if not isinstance(usage, Mapping):
        return Usage()
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=int(usage.get("prompt_tokens") or 0),
        output_tokens=int(usage.get("completion_tokens") or 0),
        cached_tokens=int(details.get("cached_tokens") or 0),
    )


def _finish(reason: Any, called: bool, refused: bool) -> Finish:
    if refused:
        return "filter"
    if called and reason != "length":
        return "tool_calls"
    finish = _FINISH.get(reason or "stop", "stop")
    return "stop" if finish == "tool_calls" and not called else finish


class _Call(msgspec.Struct):
    """A tool call under construction."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class StreamFold:
    """Folds the pieces of a streamed completion into the reply they make up."""

    def __init__(self, provider: str, request: ModelRequest, names: ToolNames) -> None:
        self._provider = provider
        self._request = request
        self._names = names
        self._text: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._reason: str | None = None
        self._refused = False
        self._usage: Any = None
        self._model = request.model

    def add(self, piece: Mapping[str, Any]) -> str | Failure:
        """Take one piece and return its text, or the failure that it
        announces.
        """
        error = piece.get("error")
        if error:
            return _failure_in_stream(self._provider, error)
        try:
            self._model = piece.get("model") or self._model
            self._usage = piece.get("usage") or self._usage
            text = ""
            for choice in piece.get("choices") or ():
                self._reason = choice.get("finish_reason") or self._reason
                text += self._delta(choice.get("delta") or {})
        except (TypeError, AttributeError, KeyError) as error_:
            raise ModelReplyError("a piece of the stream is not a chat completion") from error_
        if text:
            self._text.append(text)
        return text

    def _delta(self, delta: Mapping[str, Any]) -> str:
        for call in delta.get("tool_calls") or ():
            self._call_delta(call)
        refusal = delta.get("refusal")
        if refusal:
            self._refused = True
        return (delta.get("content") or "") + (refusal or "")

    def _call_delta(self, delta: Mapping[str, Any]) -> None:
        index = delta.get("index")
        if index is None:
            begins = bool(delta.get("id")) or not self._calls
            index = len(self._calls) if begins else len(self._calls) - 1
        call = self._calls.setdefault(index, _Call())
        call.id = delta.get("id") or call.id
        function = delta.get("function") or {}
        call.name += function.get("name") or ""
        call.arguments += function.get("arguments") or ""

    def reply(self) -> ModelReply:
        """Return the whole; ModelReplyError when the stream ended before its
        end.
        """
        if self._reason is None:
            raise ModelReplyError("the stream ended before the answer was complete")
        calls = tuple(
            ToolCall(
                id=call.id or f"call_{index}",
                name=self._names.inward(call.name),
                arguments=decode_object(call.arguments, "the arguments of a tool call"),
            )
            for index, call in sorted(self._calls.items())
        )
        return ModelReply(
            model=self._model,
            text="".join(self._text),
            tool_calls=calls,
            finish=_finish(self._reason, bool(calls), self._refused),
            usage=read_usage(self._usage),
        )


def _failure_in_stream(provider: str, error: Any) -> Failure:
    if not isinstance(error, Mapping):
        return Failure(provider=provider, message=str(error))
    code = error.get("code") if isinstance(error.get("code"), str) else error.get("type")
    return Failure(provider=provider, code=code, message=str(error.get("message") or "") or None)
