"""Client: a Model over any endpoint that speaks OpenAI chat completions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

import msgspec

from agentsquad.integrations.connectors.ai.contract import (
    HttpReply,
    HttpRequest,
    ModelReplyError,
    Secret,
    Transport,
)
from agentsquad.integrations.connectors.ai.failure import Failure, error_of
from agentsquad.integrations.connectors.ai.naming import ToolNames
from agentsquad.integrations.connectors.ai.openai.wire import StreamFold, decode_reply, encode
from agentsquad.integrations.connectors.ai.shape import decode, decode_object
from agentsquad.integrations.connectors.ai.sse import SseParser
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ports import Clock
from agentsquad.workforce.agents.contract import Chunk, ModelReply, ModelRequest


class OpenAiModel:
    """A Model. `headers` authenticate; they are sent to `endpoint` and nowhere
    else.
    """

    def __init__(
        self,
        provider: str,
        endpoint: str,
        transport: Transport,
        clock: Clock,
        headers: Mapping[str, Secret],
    ) -> None:
        self.provider = provider
        self._url = endpoint.rstrip("/") + "/chat/completions"
        self._transport = transport
        self._clock = clock
        self._authentication = dict(headers)
        self._secrets = tuple(headers.values())
        # Only the original renamed the field; most others know the old name.
        original = urlsplit(endpoint).hostname == "api.openai.com"
        self._limit_field = "max_completion_tokens" if original else "max_tokens"

    def __repr__(self) -> str:
        return f"<OpenAiModel {self.provider} at {self._url}>"

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Answer once."""
        names = ToolNames(request)
        body = encode(request, names, limit_field=self._limit_field, stream=False)
        reply = await self._transport.send(self._post(body), timeout_ms=deadline_ms)
        if reply.status != 200:
            raise self._error(reply)
        return decode_reply(
            decode_object(reply.body, f"the answer of {self.provider}"), request, names
        )

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Answer in pieces; the last one carries the whole."""
        names = ToolNames(request)
        body = encode(request, names, limit_field=self._limit_field, stream=True)
        parser, fold = SseParser(), StreamFold(self.provider, request, names)
        async with self._transport.stream(self._post(body), timeout_ms=deadline_ms) as answer:
            if answer.status != 200:
                raise self._error(
                    HttpReply(
                        status=answer.status, headers=answer.headers, body=await answer.read()
                    )
                )
            async for piece in answer.pieces():
                for event in parser.feed(piece):
                    if event.data == "[DONE]":
                        yield Chunk(reply=fold.reply())
                        return
                    text = self._add(fold, event.data)
                    if text:
                        yield Chunk(text=text)
        yield Chunk(reply=fold.reply())

    def _add(self, fold: StreamFold, data: str) -> str:
        piece = decode(data, f"a piece of the stream of {self.provider}")
        if not isinstance(piece, dict):
            raise ModelReplyError(f"a piece of the stream of {self.provider} is not an object")
        added = fold.add(piece)
        if isinstance(added, Failure):
            raise error_of(added, now_ms=self._clock.now_ms(), secrets=self._secrets)
        return added

    def _post(self, body: Mapping[str, object]) -> HttpRequest:
        headers = {"content-type": "application/json"}
        headers |= {name: secret.reveal() for name, secret in self._authentication.items()}
        return HttpRequest(
            method="POST", url=self._url, headers=headers, body=msgspec.json.encode(body)
        )

    def _error(self, reply: HttpReply) -> SquadError:
        failure = Failure(
            provider=self.provider, status=reply.status, headers=reply.headers, body=reply.body
        )
        return error_of(failure, now_ms=self._clock.now_ms(), secrets=self._secrets)
