"""GGUF: a Model over llama.cpp in this process, with weights from a file.

Inference runs in one thread of its own, one request at a time, and never on the
event loop. A request that is cancelled or late is told so at its next token;
while it is still reading a long prompt it cannot be stopped, and the next
request waits for it.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import xllamacpp  # type: ignore[import-untyped, import-not-found, unused-ignore]

from agentsquad.integrations.connectors.ai.contract import (
    ModelDeadlineError,
    ModelRefusedError,
    ModelReplyError,
    ModelUnavailableError,
)
from agentsquad.integrations.connectors.ai.local.adapters.threads import for_generation
from agentsquad.integrations.connectors.ai.local.prompt import Prompt
from agentsquad.workforce.agents.contract import Chunk, ModelReply, ModelRequest, Usage

CONTEXT = 4096
Piece = Mapping[str, Any] | Exception | None


class GgufModel:
    """A Model. `file` is called in the inference thread when the first request
    comes.
    """

    def __init__(
        self, model: str, file: Callable[[], Path], *, provider: str = "local", threads: int = 0
    ) -> None:
        self.provider = provider
        self._model = model
        self._file = file
        self._threads = threads or for_generation()
        self._engine: Any = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"squad-{model}")

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Answer once."""
        reply: ModelReply | None = None
        async for chunk in self.stream(request, deadline_ms=deadline_ms):
            reply = chunk.reply or reply
        if reply is None:
            raise ModelReplyError("the local model ended without an answer")
        return reply

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Answer in pieces; a choice among tools comes in one."""
        loop = asyncio.get_running_loop()
        end = None if deadline_ms is None else loop.time() + deadline_ms / 1000
        prompt = Prompt(request)
        pieces: asyncio.Queue[Piece] = asyncio.Queue()
        given_up = threading.Event()

        def hand_over(piece: Piece) -> bool:
            if not given_up.is_set():
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            return given_up.is_set()

        text: list[str] = []
        ending: dict[str, Any] = {}
        self._worker.submit(self._infer, prompt.encode(), hand_over, given_up)
        try:
            while True:
                try:
                    async with asyncio.timeout_at(end):
                        piece = await pieces.get()
                except TimeoutError as error:
                    raise ModelDeadlineError(
                        f"the local model did not finish its answer within {deadline_ms} ms",
                        hint="allow more time, or ask for fewer tokens",
                    ) from error
                if piece is None:
                    break
                said = _read(piece, ending)
                if said:
                    text.append(said)
                    if not prompt.chooses:
                        yield Chunk(text=said)
        finally:
            given_up.set()
        reply = self._reply(prompt, "".join(text), ending)
        if prompt.chooses and reply.text:
            yield Chunk(text=reply.text)
        yield Chunk(reply=reply)

    def close(self) -> None:
        """Let go of the engine and its thread; a request under way ends at its
        next token.
        """
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._engine = None

    def _reply(self, prompt: Prompt, text: str, ending: Mapping[str, Any]) -> ModelReply:
        usage = ending.get("usage") or {}
        return prompt.reply(
            self._model,
            text,
            "length" if ending.get("finish") == "length" else "stop",
            Usage(
                input_tokens=usage.get("prompt_tokens", 0),
                output_tokens=usage.get("completion_tokens", 0),
                cost_micros=0,
            ),
        )

    def _infer(
        self,
        body: dict[str, Any],
        hand_over: Callable[[Piece], bool],
        given_up: threading.Event,
    ) -> None:
        """Run one request in the inference thread; failures are handed over
        like pieces.
        """
        if given_up.is_set():
            return
        try:
            if self._engine is None:
                self._engine = self._load()
            self._engine.handle_chat_completions(body, hand_over)
        except Exception as error:  # noqa: BLE001 - raised again by whoever is waiting
            hand_over(error)
        else:
            hand_over(None)

    def _load(self) -> Any:
        """Load the weights. The engine also listens on loopback, so that door
        gets a lock.
        """
        path = self._file()
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.warmup = False
        params.use_jinja = True
        params.verbosity = -1
        params.ui = False
        params.endpoint_slots = False
        params.endpoint_props = False
        params.api_keys = [secrets.token_hex(16)]
        for part in (params.cpuparams, params.cpuparams_batch):
            part.n_threads = self._threads
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise ModelUnavailableError(
                f"the engine cannot load {path.name}",
                hint="check that it is a GGUF file and that there is memory for it",
                private=repr(error),
            ) from error


def _read(piece: Piece, ending: dict[str, Any]) -> str:
    """Return the text of a piece and note what it says about the end."""
    if isinstance(piece, ValueError):
        raise ModelRefusedError(
            f"the local engine cannot enforce this schema: {piece}",
            hint="use types, enum, const, required, oneOf and bounded lengths",
        ) from piece
    if isinstance(piece, Exception):
        raise piece
    assert piece is not None
    error = piece.get("error")
    if error:
        message = str(error.get("message", error))
        if error.get("code") == 400:
            raise ModelRefusedError(f"the local engine refused: {message}")
        raise ModelUnavailableError(f"the local engine failed: {message}")
    if piece.get("usage"):
        ending["usage"] = piece["usage"]
    text = ""
    for choice in piece.get("choices") or ():
        ending["finish"] = choice.get("finish_reason") or ending.get("finish")
        text += choice.get("delta", {}).get("content") or ""
    return text
