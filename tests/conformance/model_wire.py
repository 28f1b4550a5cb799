"""Servers that speak the providers' real wire formats on loopback, and
misbehave on request.

One small brain decides what to answer; three dialects say it: OpenAI chat
completions, Anthropic messages, Bedrock Converse. They are judged by the
vendors' own clients in test_model_judges.
"""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

TEXT = "Hello from the other side, with ünïcödé, 漢字 and 🎉."
SHAPE = {"city": "Paris", "large": True}
INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS = 31, 7, 13


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Fault:
    """How the next answer goes wrong."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hang: bool = False  # accept, and never answer
    drop: bool = False  # hang up instead of answering
    cut_after: int | None = None  # hang up after so many bytes of the body
    stall_after: int | None = None  # send so many bytes of the body, then nothing
    mid_stream_error: bool = False
    piece: int | None = None  # bytes to a piece of the body
    no_usage: bool = False


@dataclass
class Answer:
    """What the brain says, before a dialect puts it into words."""

    text: str = ""
    tool: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


class WireServer:
    """One dialect on a free port of loopback; `plan` holds what goes wrong
    next.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.seen: list[Seen] = []
        self.plan: deque[Fault] = deque()
        self.hung_up = asyncio.Event()
        self.arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> WireServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {k.strip().lower(): v.strip() for k, _, v in (s.partition(":") for s in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Seen(method, path, headers, body)
        self.seen.append(request)
        self.arrived.set()
        fault = self.plan.popleft() if self.plan else Fault()
        if fault.drop:
            return False
        if fault.hang:
            await reader.read()  # returns when the other side hangs up
            self.hung_up.set()
            return False
        fault = self.dialect.objection(request) or fault
        status, kind, data = fault.status, "application/json", fault.body
        if data is None and status == 200:
            kind, data = self.dialect.reply(request, fault)
        elif data is None:
            data = self.dialect.error(status)
        return await self._send(reader, writer, (status, kind, data), fault)

    async def _send(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: tuple[int, str, bytes],
        fault: Fault,
    ) -> bool:
        status, kind, data = answer
        extra = "".join(f"{name}: {value}\r\n" for name, value in fault.headers.items())
        writer.write(
            f"HTTP/1.1 {status} Whatever\r\ncontent-type: {kind}\r\n{extra}"
            "transfer-encoding: chunked\r\n\r\n".encode()
        )
        stop = fault.cut_after if fault.cut_after is not None else fault.stall_after
        whole, data = data, data[:stop]
        size = fault.piece or max(1, len(whole))
        for start in range(0, len(data), size):
            part = data[start : start + size]
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await writer.drain()
        if fault.cut_after is not None:
            return False
        if fault.stall_after is not None:
            await reader.read()
            self.hung_up.set()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def think(tools: list[str], shaped: bool, told: str, answered: bool) -> Answer:
    """Decide: look an order up when asked to and able to, keep a shape when
    given one.
    """
    if "order" in told and not answered:
        for tool in tools:
            if tool.startswith("orders"):
                return Answer(tool=tool, arguments={"order_id": 4711, "note": "ünï"})
    if shaped:
        return Answer(text=json.dumps(SHAPE))
    return Answer(text=TEXT)


class Dialect:
    """How one provider writes."""

    def reply(self, request: Seen, fault: Fault) -> tuple[str, bytes]:
        raise NotImplementedError

    def error(self, status: int) -> bytes:
        raise NotImplementedError

    def objection(self, request: Seen) -> Fault | None:
        """Return what the provider would refuse about a request."""
        return None


def pieces(text: str) -> list[str]:
    """Cut text where a tokenizer might: anywhere."""
    return [text[i : i + 5] for i in range(0, len(text), 5)]


class OpenAi(Dialect):
    """Chat completions: /chat/completions, server-sent events ended by
    [DONE].
    """

    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    }

    def error(self, status: int) -> bytes:
        kinds = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "model_not_found"}
        error = {
            "message": f"no: {status}",
            "type": "invalid_request_error",
            "param": None,
            "code": kinds.get(status),
        }
        return json.dumps({"error": error}).encode()

    def reply(self, request: Seen, fault: Fault) -> tuple[str, bytes]:
        body = request.json
        assert request.path.endswith("/chat/completions"), request.path
        answer = think(
            [tool["function"]["name"] for tool in body.get("tools", ())],
            "response_format" in body,
            str(body["messages"][-1]["content"]),
            body["messages"][-1]["role"] == "tool",
        )
        finish = "tool_calls" if answer.tool else "stop"
        base = {"id": "chatcmpl-1", "created": 1700000000, "model": body["model"] + "-2024-08-06"}
        if body.get("stream"):
            return "text/event-stream", self._stream(base, answer, finish, fault)
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        message["refusal"] = None
        if answer.tool:
            message["tool_calls"] = [
                {
                    "id": "call_abc",
                    "type": "function",
                    "function": {"name": answer.tool, "arguments": json.dumps(answer.arguments)},
                }
            ]
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        whole = {**base, "object": "chat.completion", "choices": [choice]}
        if not fault.no_usage:
            whole["usage"] = self.usage
        return "application/json", json.dumps(whole).encode()

    def _stream(self, base: dict[str, Any], answer: Answer, finish: str, fault: Fault) -> bytes:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if answer.tool:
            function = {"name": answer.tool, "arguments": ""}
            call = {"index": 0, "id": "call_abc", "type": "function", "function": function}
            deltas.append({"tool_calls": [call]})
            for piece in pieces(json.dumps(answer.arguments)):
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        else:
            deltas += [{"content": piece} for piece in pieces(answer.text)]
        chunks: list[dict[str, Any]] = [
            {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
        ]
        if fault.mid_stream_error:
            chunks = chunks[:3]
        else:
            chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
        base = {**base, "object": "chat.completion.chunk"}
        lines = [json.dumps({**base, "choices": [chunk]}, ensure_ascii=False) for chunk in chunks]
        if fault.mid_stream_error:
            error = {"message": "The server had an error", "type": "server_error", "code": None}
            lines.append(json.dumps({"error": error}))
        elif not fault.no_usage:
            lines.append(json.dumps({**base, "choices": [], "usage": self.usage}))
        if not fault.mid_stream_error:
            lines.append("[DONE]")
        return "".join(f"data: {line}\n\n" for line in lines).encode()


class Anthropic(Dialect):
    """Messages: /messages, named server-sent events ended by message_stop."""

    usage = {
        "input_tokens": INPUT_TOKENS - CACHED_TOKENS,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": CACHED_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
    }

    def objection(self, request: Seen) -> Fault | None:
        version = request.headers.get("anthropic-version")
        if version not in ("2023-06-01", "2026-10-21"):
            return Fault(status=400)
        sampled = "temperature" in request.json
        return Fault(status=400) if version == "2026-10-21" and sampled else None

    def error(self, status: int) -> bytes:
        kinds = {
            400: "invalid_request_error",
            401: "authentication_error",
            403: "permission_error",
            404: "not_found_error",
            413: "request_too_large",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        kind = kinds.get(status, "api_error")
        error = {"type": kind, "message": f"no: {status}"}
        return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()

    def reply(self, request: Seen, fault: Fault) -> tuple[str, bytes]:
        body = request.json
        assert request.path.endswith("/messages"), request.path
        assert body["max_tokens"] > 0
        last = body["messages"][-1]["content"]
        told = last if isinstance(last, str) else str(last)
        tools = [tool["name"] for tool in body.get("tools", ())]
        answered = "tool_result" in told
        native = "output_config" in body
        answer = think(tools, native or "answer" in tools, told, answered)
        blocks: list[dict[str, Any]] = []
        if answer.tool:
            blocks.append({"type": "text", "text": ""})
            blocks.append({"type": "tool_use", "id": "toolu_1", "name": answer.tool})
            blocks[-1]["input"] = answer.arguments
        elif "answer" in tools and not native:
            blocks.append({"type": "text", "text": "Here you are:"})
            blocks.append({"type": "tool_use", "id": "toolu_2", "name": "answer", "input": SHAPE})
        else:
            blocks.append({"type": "text", "text": answer.text})
        if not answer.tool:
            blocks = [b for b in blocks if b.get("text") != ""]
        reason = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "stop_sequence": None,
        }
        if body.get("stream"):
            return "text/event-stream", self._stream(message, blocks, reason, fault)
        whole = {**message, "content": blocks, "stop_reason": reason, "usage": self.usage}
        return "application/json", json.dumps(whole).encode()

    def _stream(
        self, message: dict[str, Any], blocks: list[dict[str, Any]], reason: str, fault: Fault
    ) -> bytes:
        first = {**self.usage, "output_tokens": 1}
        head = {**message, "content": [], "stop_reason": None, "usage": first}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": head}]
        events.append({"type": "ping"})
        for index, block in enumerate(blocks):
            if block["type"] == "text":
                start: dict[str, Any] = {"type": "text", "text": ""}
                deltas = [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
            else:
                start = {**block, "input": {}}
                text = json.dumps(block["input"])
                deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(text)]
                deltas.insert(0, {"type": "input_json_delta", "partial_json": ""})
            events.append({"type": "content_block_start", "index": index, "content_block": start})
            for delta in deltas:
                events.append({"type": "content_block_delta", "index": index, "delta": delta})
            events.append({"type": "content_block_stop", "index": index})
        if fault.mid_stream_error:
            error = {"type": "overloaded_error", "message": "Overloaded"}
            events = [*events[:5], {"type": "error", "error": error}]
        else:
            delta = {"stop_reason": reason, "stop_sequence": None}
            usage = {"output_tokens": OUTPUT_TOKENS}
            events.append({"type": "message_delta", "delta": delta, "usage": usage})
            events.append({"type": "message_stop"})
        lines = [
            f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=False)}\n\n" for e in events
        ]
        return "".join(lines).encode()


class Bedrock(Dialect):
    """Converse: /model/ID/converse and converse-stream, in binary frames."""

    usage = {
        "inputTokens": INPUT_TOKENS - CACHED_TOKENS,
        "outputTokens": OUTPUT_TOKENS,
        "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "cacheReadInputTokens": CACHED_TOKENS,
        "cacheWriteInputTokens": 0,
    }

    def error(self, status: int) -> bytes:
        return json.dumps({"message": f"no: {status}"}).encode()

    def reply(self, request: Seen, fault: Fault) -> tuple[str, bytes]:
        body = request.json
        assert request.path.startswith("/model/"), request.path
        last = str(body["messages"][-1]["content"])
        config = body.get("toolConfig", {})
        tools = [tool["toolSpec"]["name"] for tool in config.get("tools", ())]
        answer = think(tools, "answer" in tools, last, "toolResult" in last)
        blocks: list[dict[str, Any]] = []
        if answer.tool:
            use = {"toolUseId": "tooluse_1", "name": answer.tool, "input": answer.arguments}
            blocks = [{"text": "Let me look."}, {"toolUse": use}]
        elif "answer" in tools:
            use = {"toolUseId": "tooluse_2", "name": "answer", "input": SHAPE}
            blocks = [{"toolUse": use}]
        else:
            blocks = [{"text": answer.text}]
        reason = "tool_use" if "toolUse" in blocks[-1] else "end_turn"
        if request.path.endswith("/converse-stream"):
            return "application/vnd.amazon.eventstream", self._stream(blocks, reason, fault)
        whole = {
            "output": {"message": {"role": "assistant", "content": blocks}},
            "stopReason": reason,
            "usage": self.usage,
            "metrics": {"latencyMs": 12},
        }
        return "application/json", json.dumps(whole).encode()

    def _stream(self, blocks: list[dict[str, Any]], reason: str, fault: Fault) -> bytes:
        events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
        for index, block in enumerate(blocks):
            at = {"contentBlockIndex": index}
            if "text" in block:
                deltas: list[dict[str, Any]] = [{"text": p} for p in pieces(block["text"])]
            else:
                use = block["toolUse"]
                start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
                events.append(("contentBlockStart", {**at, "start": start}))
                text = json.dumps(use["input"])
                deltas = [{"toolUse": {"input": p}} for p in pieces(text)]
            events += [("contentBlockDelta", {**at, "delta": delta}) for delta in deltas]
            events.append(("contentBlockStop", at))
        if fault.mid_stream_error:
            wrong = frame(
                {
                    ":message-type": "exception",
                    ":exception-type": "modelStreamErrorException",
                    ":content-type": "application/json",
                },
                b'{"message": "broke"}',
            )
            return b"".join(self._event(*event) for event in events[:3]) + wrong
        events.append(("messageStop", {"stopReason": reason}))
        events.append(("metadata", {"usage": self.usage, "metrics": {"latencyMs": 12}}))
        return b"".join(self._event(*event) for event in events)

    def _event(self, name: str, body: dict[str, Any]) -> bytes:
        headers = {
            ":event-type": name,
            ":content-type": "application/json",
            ":message-type": "event",
        }
        return frame(headers, json.dumps(body).encode())


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Write one frame of AWS's event stream."""
    head = b""
    for name, value in headers.items():
        head += struct.pack(">B", len(name)) + name.encode()
        head += struct.pack(">BH", 7, len(value.encode())) + value.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))
