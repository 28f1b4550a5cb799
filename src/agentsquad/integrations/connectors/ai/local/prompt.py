"""Prompt: our request as one that a small local model can follow.

Small models do not call tools the way large ones do, but under a grammar they
always write valid JSON. So tools are asked for as one object {"tool": name,
"args": {…}} whose schema lists them all, with `answer` among them for the case
that no tool is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import ModelReplyError
from agentsquad.integrations.connectors.ai.fold import Finish
from agentsquad.integrations.connectors.ai.naming import ToolNames
from agentsquad.integrations.connectors.ai.shape import decode_object, inlined, rooted
from agentsquad.kernel.canonical import dumps
from agentsquad.workforce.agents.contract import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    Usage,
)

MAX_TOKENS = 512


class Prompt:
    """One request and the names it uses; encodes it and reads its answer."""

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self.names = ToolNames(request)
        self.answer = self.names.reserve("answer")

    @property
    def chooses(self) -> bool:
        """Whether the text is a choice among tools, to be read when it is
        whole.
        """
        return bool(self.request.tools)

    def encode(self) -> dict[str, Any]:
        """Return the request for the engine's chat endpoint.

        Without a temperature it is greedy, so that the same request gets the
        same answer.
        """
        request = self.request
        body: dict[str, Any] = {
            "messages": self._messages(),
            "temperature": request.temperature or 0.0,
            "max_tokens": request.max_tokens or MAX_TOKENS,
            "cache_prompt": False,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)
        schema = self._schema()
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema},
            }
        return body

    def _schema(self) -> Mapping[str, Any] | None:
        if not self.chooses:
            schema = self.request.output_schema
            return None if schema is None else inlined(schema)
        final = self.request.output_schema or _object({"text": {"type": "string"}})
        choices = [(self.names.outward(tool.name), tool.schema) for tool in self.request.tools]
        choices.append((self.answer, final))
        return {
            "oneOf": [
                _object({"tool": {"const": name}, "args": inlined(schema)})
                for name, schema in choices
            ]
        }

    def _messages(self) -> list[dict[str, str]]:
        messages = [self._message(message) for message in self.request.messages]
        if self.chooses:
            told = {"role": "system", "content": self._instructions()}
            if messages and messages[0]["role"] == "system":
                told["content"] = f"{messages[0]['content']}\n\n{told['content']}"
                messages = messages[1:]
            messages.insert(0, told)
        return messages

    def _instructions(self) -> str:
        lines = [
            'Reply with one JSON object {"tool": NAME, "args": ARGUMENTS}. The tools are:',
        ]
        for tool in self.request.tools:
            names = ", ".join(rooted(tool.schema).get("properties", ()))
            lines.append(f"- {self.names.outward(tool.name)}({names}): {tool.description}")
        lines.append(f"- {self.answer}: reply to the user when no other tool is needed")
        return "\n".join(lines)

    def _message(self, message: Message) -> dict[str, str]:
        """Say in plain turns what the chat template has no words for."""
        if message.role == "tool":
            return {"role": "user", "content": f"The tool answered: {message.content}"}
        content = message.content
        if message.tool_calls:
            call = message.tool_calls[0]
            content = dumps(
                {"tool": self.names.outward(call.name), "args": msgspec.to_builtins(call.arguments)}
            ).decode()
        return {"role": message.role, "content": content}

    def reply(self, model: str, text: str, finish: Finish, usage: Usage) -> ModelReply:
        """Return our reply; a choice that was cut off by the token limit stays
        text.
        """
        if not self.chooses or finish == "length":
            return ModelReply(model=model, text=text, finish=finish, usage=usage)
        chosen = decode_object(text, "the choice of a tool")
        name, arguments = chosen.get("tool"), chosen.get("args")
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise ModelReplyError("the choice of a tool is not {tool, args}")
        if name != self.answer:
            call = ToolCall(id="call_0", name=self.names.inward(name), arguments=arguments)
            return ModelReply(
                model=model, text="", tool_calls=(call,), finish="tool_calls", usage=usage
            )
        if self.request.output_schema is None:
            text = str(arguments.get("text", ""))
        else:
            text = dumps(arguments).decode()
        return ModelReply(model=model, text=text, finish=finish, usage=usage)


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
