"""Scripted: replies given beforehand, one a call, in order.

A fake that ships: it passes the same conformance suite as the models that cost
money. A reply may be an error, so that what callers do about errors can be
rehearsed too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from agentsquad.integrations.connectors.ai.contract import ScriptExhaustedError
from agentsquad.integrations.connectors.ai.short import FREE, Short, as_reply, chunks_of
from agentsquad.kernel.errors import SquadError
from agentsquad.workforce.agents.contract import Chunk, ModelReply, ModelRequest


class ScriptedModel:
    """A Model. What it was asked stays in `requests`."""

    def __init__(
        self, replies: Iterable[Short | SquadError], *, provider: str = "scripted"
    ) -> None:
        self.provider = provider
        self.requests: list[ModelRequest] = []
        self._replies = list(replies)

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Give the next reply, or raise it."""
        self.requests.append(request)
        number = len(self.requests)
        if number > len(self._replies):
            raise ScriptExhaustedError(
                f"the script has {len(self._replies)} replies, and this is request {number}",
                hint="add a reply, or find out why there is one more request",
            )
        reply = self._replies[number - 1]
        if isinstance(reply, SquadError):
            raise reply
        return as_reply(reply, request.model, FREE)

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Give the next reply word by word."""
        reply = await self.complete(request, deadline_ms=deadline_ms)
        for chunk in chunks_of(reply):
            yield chunk
