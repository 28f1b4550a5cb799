"""A model provider on a free port of this machine that speaks the APIs of
OpenAI and Anthropic, whole and streamed, without a model.

Answers repeat the question and say which request it was, so that two answers
can be told apart. `python -m agentsquad.testing.model_provider -- PROGRAM` runs
a program against one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "stub"}
USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
Fault = Callable[[int, str, Any], tuple[int, dict[str, str], Any] | None]


class Provider:
    """What was asked, and how to answer; `fault` may answer in its place."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.fault: Fault = lambda n, path, body: None
        self.delay_s = 0.0
        self.streamed: dict[str, Any] = {}
        self.url = ""
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Event()
        self._lock = threading.Lock()

    def note(self, path: str, headers: dict[str, str], body: Any) -> int:
        """Keep a request and return its number."""
        with self._lock:
            self.asked.append((path, headers, body))
            self.came.set()
            return len(self.asked)


def text_for(n: int, body: Any) -> str:
    """Return what the model says: words that say which request it was."""
    messages = body.get("messages") or body.get("input") or ""
    last = messages[-1]["content"] if isinstance(messages, list) else messages
    return f"Answer {n} to: {last if isinstance(last, str) else json.dumps(last)}"


def words(text: str) -> list[str]:
    """Return a text as a model streams it."""
    parts = text.split(" ")
    return [parts[0], *(f" {part}" for part in parts[1:])]


def chat(n: int, body: Any) -> Any:
    """Return a chat completion; a tool call first, where there are tools."""
    message: dict[str, Any] = {"role": "assistant", "content": text_for(n, body)}
    finish = "stop"
    answered = any(one["role"] == "tool" for one in body["messages"])
    if body.get("tools") and not answered:
        name = body["tools"][0]["function"]["name"]
        call = {"name": name, "arguments": '{"city": "Paris"}'}
        calls = [{"id": "call_1", "type": "function", "function": call}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        finish = "tool_calls"
    return {
        "id": f"chatcmpl-{n}", "object": "chat.completion", "created": 1764000000 + n,
        "model": body["model"], "usage": USAGE,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }  # fmt: skip


def chat_events(n: int, body: Any) -> Iterator[tuple[str, Any]]:
    """Yield the pieces of a streamed chat completion."""
    head = {"id": f"chatcmpl-{n}", "object": "chat.completion.chunk", "created": 1764000000 + n,
            "model": body["model"]}  # fmt: skip

    def piece(delta: Any, finish: str | None = None) -> Any:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield "", piece({"role": "assistant", "content": ""})
    for index, word in enumerate(words(text_for(n, body))):
        yield "", {**piece({"content": word}), "obfuscation": "x" * (index % 5)}
    yield "", piece({}, "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        yield "", {**head, "choices": [], "usage": USAGE}
    yield "", "[DONE]"


def message(n: int, body: Any) -> Any:
    """Return an Anthropic message."""
    return {
        "id": f"msg_{n}", "type": "message", "role": "assistant", "model": body["model"],
        "content": [{"type": "text", "text": text_for(n, body)}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 7},
    }  # fmt: skip


def message_events(n: int, body: Any) -> Iterator[tuple[str, Any]]:
    """Yield the pieces of a streamed Anthropic message."""
    whole = message(n, body)
    begun = {**whole, "content": [], "stop_reason": None,
             "usage": {"input_tokens": 12, "output_tokens": 1}}  # fmt: skip
    yield "message_start", {"type": "message_start", "message": begun}
    yield "content_block_start", {"type": "content_block_start", "index": 0,
                                  "content_block": {"type": "text", "text": ""}}  # fmt: skip
    yield "ping", {"type": "ping"}
    for word in words(text_for(n, body)):
        yield "content_block_delta", {"type": "content_block_delta", "index": 0,
                                      "delta": {"type": "text_delta", "text": word}}  # fmt: skip
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    yield "message_delta", {"type": "message_delta",
                            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                            "usage": {"output_tokens": 7}}  # fmt: skip
    yield "message_stop", {"type": "message_stop"}


def response(n: int, body: Any, status: str = "completed") -> Any:
    """Return an answer of the responses API."""
    text = {"type": "output_text", "text": text_for(n, body), "annotations": []}
    output = {"id": f"item_{n}", "type": "message", "role": "assistant", "status": "completed",
              "content": [text]}  # fmt: skip
    done = status == "completed"
    return {
        "id": f"resp_{n}", "object": "response", "created_at": 1764000000 + n, "status": status,
        "model": body["model"], "output": [output] if done else [], "tools": [], "metadata": {},
        "parallel_tool_calls": True, "tool_choice": "auto", "temperature": 1.0, "top_p": 1.0,
        "error": None, "incomplete_details": None, "instructions": None,
        "usage": {"input_tokens": 12, "output_tokens": 7, "total_tokens": 19,
                  "input_tokens_details": {"cached_tokens": 4},
                  "output_tokens_details": {"reasoning_tokens": 0}} if done else None,
    }  # fmt: skip


def response_events(n: int, body: Any) -> Iterator[tuple[str, Any]]:
    """Yield the pieces of a streamed answer of the responses API."""
    item = {"id": f"item_{n}", "type": "message", "role": "assistant", "status": "in_progress",
            "content": []}  # fmt: skip
    place = {"item_id": f"item_{n}", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    found: list[tuple[str, Any]] = [
        ("response.created", {"response": response(n, body, "in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.content_part.added", {**place, "part": empty}),
    ]
    for word in words(text_for(n, body)):
        found.append(("response.output_text.delta", {**place, "delta": word, "logprobs": []}))
    whole = text_for(n, body)
    found.append(("response.output_text.done", {**place, "text": whole, "logprobs": []}))
    found.append(("response.completed", {"response": response(n, body)}))
    for number, (name, data) in enumerate(found):
        yield name, {"type": name, "sequence_number": number, **data}


def embeddings(n: int, body: Any) -> Any:
    """Return vectors that say how long their texts are."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [{"object": "embedding", "index": i, "embedding": [float(len(text)), 1.0]}
            for i, text in enumerate(texts)]  # fmt: skip
    tokens = sum(len(text) for text in texts)
    return {"object": "list", "data": data, "model": body["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}  # fmt: skip


WHOLE: dict[str, Callable[[int, Any], Any]] = {
    "/v1/chat/completions": chat,
    "/v1/messages": message,
    "/v1/responses": response,
    "/v1/embeddings": embeddings,
    "/v1/messages/count_tokens": lambda n, body: {"input_tokens": 12},
}
STREAMED: dict[str, Callable[[int, Any], Iterator[tuple[str, Any]]]] = {
    "/v1/chat/completions": chat_events,
    "/v1/messages": message_events,
    "/v1/responses": response_events,
}


@contextmanager
def provider() -> Iterator[Provider]:
    """Run one in a thread of its own."""
    state = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            state.note(self.path, {k.lower(): v for k, v in self.headers.items()}, None)
            self._whole(200, {"object": "list", "data": [MODEL]})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.loads(raw)
            headers = {k.lower(): v for k, v in self.headers.items()}
            n = state.note(self.path, headers, body)
            state.gate.wait(10)
            if state.delay_s:
                time.sleep(state.delay_s)
            fault = state.fault(n, self.path, body)
            if fault is not None:
                status, extra, answer = fault
                if status == 0:  # hang up
                    self.close_connection = True
                    return
                self._whole(status, answer, extra)
            elif body.get("stream") and self.path in STREAMED:
                self._stream(state.streamed.get(self.path, STREAMED[self.path])(n, body))
            elif self.path in WHOLE:
                self._whole(200, WHOLE[self.path](n, body))
            else:
                self._whole(404, {"error": {"message": "no such path"}})

        def _whole(self, status: int, answer: Any, extra: Any = ()) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **dict(extra)}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, events: Iterator[tuple[str, Any]]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for name, data in events:
                text = data if isinstance(data, str) else json.dumps(data)
                piece = (f"event: {name}\n" if name else "") + f"data: {text}\n\n"
                raw = piece.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
            self.wfile.write(b"0\r\n\r\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def main(command: list[str]) -> int:
    """Run a program with the addresses of a provider of its own; return its
    exit code."""
    with provider() as state:
        found = {"OPENAI_BASE_URL": f"{state.url}/v1", "ANTHROPIC_BASE_URL": state.url}
        keys = {"OPENAI_API_KEY": "of-no-worth", "ANTHROPIC_API_KEY": "of-no-worth"}
        own = {**os.environ, **keys, **found}  # noqa: TID251 - a program of its own

        async def run() -> int:
            child = await asyncio.create_subprocess_exec(*command, env=own)
            return await child.wait()

        return asyncio.run(run())


if __name__ == "__main__":
    words_ = sys.argv[1:]
    sys.exit(main(words_[1:] if words_[:1] == ["--"] else words_))
