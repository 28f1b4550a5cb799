"""Client: a Model over Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec

from agentsquad.integrations.connectors.ai.anthropic.wire import Conversation, StreamFold
from agentsquad.integrations.connectors.ai.contract import (
    HttpReply,
    HttpRequest,
    Secret,
    Transport,
)
from agentsquad.integrations.connectors.ai.failure import Failure, error_of
from agentsquad.integrations.connectors.ai.shape import decode_object
from agentsquad.integrations.connectors.ai.sse import SseParser
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ports import Clock
from agentsquad.workforce.agents.contract import Chunk, ModelReply, ModelRequest


class AnthropicModel:
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
        self._url = endpoint.rstrip("/") + "/messages"
        self._transport = transport
        self._clock = clock
        self._authentication = dict(headers)
        self._secrets = tuple(headers.values())

    def __repr__(self) -> str:
        return f"<AnthropicModel {self.provider} at {self._url}>"

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Answer once."""
        conversation = Conversation(request)
        post = self._post(conversation, stream=False)
        reply = await self._transport.send(post, timeout_ms=deadline_ms)
        if reply.status != 200:
            raise self._error(reply)
        return conversation.decode(decode_object(reply.body, f"the answer of {self.provider}"))

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Answer in pieces; the last one carries the whole."""
        conversation = Conversation(request)
        post = self._post(conversation, stream=True)
        parser, fold = SseParser(), StreamFold(self.provider, conversation)
        async with self._transport.stream(post, timeout_ms=deadline_ms) as answer:
            if answer.status != 200:
                raise self._error(
                    HttpReply(
                        status=answer.status, headers=answer.headers, body=await answer.read()
                    )
                )
            async for piece in answer.pieces():
                for event in parser.feed(piece):
                    if event.name == "message_stop":
                        yield Chunk(reply=fold.reply())
                        return
                    text = self._add(fold, event.data)
                    if text:
                        yield Chunk(text=text)
        yield Chunk(reply=fold.reply())

    def _add(self, fold: StreamFold, data: str) -> str:
        added = fold.add(decode_object(data, f"an event of the stream of {self.provider}"))
        if isinstance(added, Failure):
            raise error_of(added, now_ms=self._clock.now_ms(), secrets=self._secrets)
        return added

    def _post(self, conversation: Conversation, *, stream: bool) -> HttpRequest:
        headers = {
            "content-type": "application/json",
            "anthropic-version": conversation.version,
        }
        headers |= {name: secret.reveal() for name, secret in self._authentication.items()}
        return HttpRequest(
            method="POST",
            url=self._url,
            headers=headers,
            body=msgspec.json.encode(conversation.encode(stream=stream)),
        )

    def _error(self, reply: HttpReply) -> SquadError:
        failure = Failure(
            provider=self.provider, status=reply.status, headers=reply.headers, body=reply.body
        )
        return error_of(failure, now_ms=self._clock.now_ms(), secrets=self._secrets)
