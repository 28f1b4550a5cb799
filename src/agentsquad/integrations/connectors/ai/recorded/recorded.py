"""Recorded: what was answered before is answered again, and nothing else.

A request is known by its hash. Asked the same twice, it gives the two recorded
answers in their order, since a model need not answer alike. A request without a
recording is an integrity error: replay that quietly asked a live model would
prove nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable

import msgspec

from agentsquad.integrations.connectors.ai.contract import ProviderError, RecordingMissingError
from agentsquad.integrations.connectors.ai.short import chunks_of
from agentsquad.kernel.hashing import digest
from agentsquad.workforce.agents.contract import Chunk, Model, ModelReply, ModelRequest


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one request, known by its hash."""

    request: str
    reply: ModelReply


def request_hash(request: ModelRequest) -> str:
    """Return `sha256:…` over the canonical JSON of everything that determines
    the answer.
    """
    return digest(msgspec.to_builtins(request))


def dump(recordings: Iterable[Recording]) -> bytes:
    """Return recordings as lines of JSON."""
    return b"".join(msgspec.json.encode(recording) + b"\n" for recording in recordings)


def load(data: bytes) -> list[Recording]:
    """Read lines of JSON; ProviderError names the line that is not a
    recording.
    """
    recordings = []
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            try:
                recordings.append(msgspec.json.decode(line, type=Recording))
            except msgspec.DecodeError as error:
                raise ProviderError(
                    f"line {number} is not a recording: {error}",
                    hint='each line is {"request": "sha256:…", "reply": {…}}',
                ) from error
    return recordings


class RecordedModel:
    """A Model without a model."""

    def __init__(self, recordings: Iterable[Recording], *, provider: str = "recorded") -> None:
        self.provider = provider
        self._answers: dict[str, deque[ModelReply]] = {}
        for recording in recordings:
            self._answers.setdefault(recording.request, deque()).append(recording.reply)

    @property
    def left(self) -> int:
        """How many recorded answers nobody has asked for yet."""
        return sum(len(answers) for answers in self._answers.values())

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Give the next recorded answer to this very request."""
        key = request_hash(request)
        answers = self._answers.get(key)
        if not answers:
            how = "no answer" if answers is None else "no further answer"
            raise RecordingMissingError(
                f"the recording has {how} to this request ({key})",
                hint="the request differs from the recorded one; compare model, messages and tools",
                details={"request": key, "model": request.model},
            )
        return answers.popleft()

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Give the recorded answer word by word."""
        for chunk in chunks_of(await self.complete(request, deadline_ms=deadline_ms)):
            yield chunk


class RecordingModel:
    """A Model that writes down what the model behind it answers, in
    `recordings`.
    """

    def __init__(self, model: Model) -> None:
        self.provider = model.provider
        self.recordings: list[Recording] = []
        self._model = model

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Ask and write down."""
        reply = await self._model.complete(request, deadline_ms=deadline_ms)
        self._note(request, reply)
        return reply

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Pass the pieces on and write down the whole."""
        async for chunk in self._model.stream(request, deadline_ms=deadline_ms):
            if chunk.reply is not None:
                self._note(request, chunk.reply)
            yield chunk

    def _note(self, request: ModelRequest, reply: ModelReply) -> None:
        self.recordings.append(Recording(request=request_hash(request), reply=reply))
