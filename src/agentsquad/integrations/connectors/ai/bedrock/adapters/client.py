"""Client: a Model over Amazon Bedrock's Converse and ConverseStream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, urlsplit

import msgspec

from agentsquad.integrations.connectors.ai.bedrock.contract import CredentialSource, Signer
from agentsquad.integrations.connectors.ai.bedrock.eventstream import EventStreamParser
from agentsquad.integrations.connectors.ai.bedrock.sigv4 import Scope, Signable, sign
from agentsquad.integrations.connectors.ai.bedrock.wire import Conversation, StreamFold
from agentsquad.integrations.connectors.ai.contract import (
    HttpReply,
    HttpRequest,
    ModelReplyError,
    Secret,
    Transport,
)
from agentsquad.integrations.connectors.ai.failure import Failure, error_of
from agentsquad.integrations.connectors.ai.shape import decode_object
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ports import Clock
from agentsquad.workforce.agents.contract import Chunk, ModelReply, ModelRequest

SERVICE = "bedrock"


class SigV4Signer:
    """Signs each request with the keys of the moment."""

    def __init__(self, source: CredentialSource, region: str, clock: Clock) -> None:
        self._source = source
        self._region = region
        self._clock = clock

    def headers(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return all headers to send."""
        parts = urlsplit(url)
        named = {**headers, "host": parts.netloc}
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now_ms() / 1000))
        signable = Signable(method=method, path=parts.path, headers=named, body=body)
        scope = Scope(at, self._region, SERVICE)
        return {**named, **sign(signable, self._source.credentials(), scope)}

    def secrets(self) -> tuple[Secret, ...]:
        """Return what must never be printed."""
        keys = self._source.credentials()
        return tuple(s for s in (keys.secret_access_key, keys.session_token) if s is not None)


class HeaderSigner:
    """Authenticates with fixed headers, for Bedrock API keys."""

    def __init__(self, fixed: Mapping[str, Secret]) -> None:
        self._fixed = fixed

    def headers(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return all headers to send."""
        return {**headers, **{name: secret.reveal() for name, secret in self._fixed.items()}}

    def secrets(self) -> tuple[Secret, ...]:
        """Return what must never be printed."""
        return tuple(self._fixed.values())


class BedrockModel:
    """A Model."""

    def __init__(
        self,
        provider: str,
        endpoint: str,
        transport: Transport,
        clock: Clock,
        signer: Signer,
    ) -> None:
        self.provider = provider
        self._endpoint = endpoint.rstrip("/")
        self._transport = transport
        self._clock = clock
        self._signer = signer

    def __repr__(self) -> str:
        return f"<BedrockModel {self.provider} at {self._endpoint}>"

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Answer once."""
        conversation = Conversation(request)
        post = self._post(conversation, "converse")
        reply = await self._transport.send(post, timeout_ms=deadline_ms)
        if reply.status != 200:
            raise self._error(reply)
        return conversation.decode(decode_object(reply.body, f"the answer of {self.provider}"))

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Answer in pieces; the last one carries the whole."""
        conversation = Conversation(request)
        post = self._post(conversation, "converse-stream")
        parser, fold = EventStreamParser(), StreamFold(self.provider, conversation)
        async with self._transport.stream(post, timeout_ms=deadline_ms) as answer:
            if answer.status != 200:
                raise self._error(
                    HttpReply(
                        status=answer.status, headers=answer.headers, body=await answer.read()
                    )
                )
            async for piece in answer.pieces():
                for frame in parser.feed(piece):
                    added = fold.add(frame)
                    if isinstance(added, Failure):
                        raise self._failed(added)
                    if added:
                        yield Chunk(text=added)
        if not parser.idle:
            raise ModelReplyError("the stream was cut off inside a frame")
        yield Chunk(reply=fold.reply())

    def _post(self, conversation: Conversation, operation: str) -> HttpRequest:
        model = quote(conversation.request.model, safe="")
        url = f"{self._endpoint}/model/{model}/{operation}"
        body = msgspec.json.encode(conversation.encode())
        headers = {"content-type": "application/json", "accept": "*/*"}
        return HttpRequest(
            method="POST",
            url=url,
            headers=self._signer.headers("POST", url, headers, body),
            body=body,
        )

    def _error(self, reply: HttpReply) -> SquadError:
        return self._failed(
            Failure(
                provider=self.provider, status=reply.status, headers=reply.headers, body=reply.body
            )
        )

    def _failed(self, failure: Failure) -> SquadError:
        return error_of(failure, now_ms=self._clock.now_ms(), secrets=self._signer.secrets())
