"""Idempotency keys: the same key with the same call is one call.

What is accepted is an event before anything is done, and its answer one after
it; so a key holds across restarts. A process that dies in between leaves a call
of which nobody knows whether it happened: its key is refused from then on,
never done again blindly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agentsquad.kernel import errors, hashing
from agentsquad.kernel.errors import ConflictError, InvalidError, SquadError, surface_of
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.surfaces.gateway.contract import (
    KEY_LENGTH_MAX,
    Answer,
    Call,
    KeyPendingError,
    KeyReusedError,
)

INLINE_MAX = 16_384  # bytes of an answer that its event holds itself
ACCEPTED, ANSWERED, RELEASED = "request.accepted", "request.answered", "request.released"


class KeyUnknownError(ConflictError):
    """A call with this Idempotency-Key was accepted and its outcome is not
    known: see what happened, then use another key."""

    code = "gateway.key_unknown"


class KeySpentError(ConflictError):
    """This call was answered before; its answer held what is told only once."""

    code = "gateway.key_spent"


class Keys:
    """The keys of one namespace.

    `told_once` says of an action whether its answer is never kept.
    """

    def __init__(
        self, store: EventStore, blobs: BlobStore, told_once: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._told_once = told_once
        self._pending: dict[str, asyncio.Future[None]] = {}

    async def once(self, call: Call, do: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do it, or return what came of it before."""
        stream, digest = _stream(call), hashing.digest([call.action, dict(call.value)])
        while (pending := self._pending.get(stream)) is not None:
            await asyncio.shield(pending)
        done = asyncio.get_running_loop().create_future()
        self._pending[stream] = done
        try:
            return await self._first(call, stream, digest, do)
        finally:
            del self._pending[stream]
            done.set_result(None)

    async def _first(
        self, call: Call, stream: str, digest: str, do: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        events = await self._store.read_stream(stream)
        if events:
            answered = await self._before(events, digest)
            if answered is not None:
                return answered
        actor = str(call.caller.actor)
        body = {"action": call.action, "call": digest, "surface": call.caller.surface}
        try:
            taken = await self._store.append(
                [NewEvent(stream=stream, type=ACCEPTED, payload=body, actor=actor)],
                expect={stream: len(events)},
            )
        except ConflictError:  # another process was quicker
            raise KeyPendingError(retry_after_ms=1000) from None
        try:
            answer = await do()
        except SquadError as error:
            row = surface_of(error)
            kind = RELEASED if row.retryable else ANSWERED
            await self._end(stream, kind, {"error": errors.record(error)}, actor, taken[0].seq)
            raise
        body = {} if self._told_once(call.action) else await self._kept(answer)
        await self._end(stream, ANSWERED, body, actor, taken[0].seq)
        return answer

    async def _end(
        self, stream: str, kind: str, body: dict[str, Any], actor: str, cause: int
    ) -> None:
        event = NewEvent(stream=stream, type=kind, payload=body, actor=actor, cause=cause)
        await self._store.append([event])

    async def _kept(self, answer: Answer) -> dict[str, Any]:
        data = msgspec.json.encode(answer)
        if len(data) <= INLINE_MAX:
            return {"answer": data.decode()}  # as text, so that it is the same to the letter
        return {"answer": await self._blobs.put(data, "application/json")}

    async def _before(self, events: list[Event], digest: str) -> Answer | None:
        """Return what was answered before; None where the key is free again."""
        last, first = events[-1], events[0]
        accepted = next(e for e in reversed(events) if e.type == ACCEPTED)
        if (accepted.payload or {}).get("call") != digest:
            raise KeyReusedError(hint="a key belongs to one call; make a new one")
        if last.type == RELEASED:
            return None
        if last.type == ACCEPTED:
            raise KeyUnknownError(details={"accepted": last.seq, "at": first.time})
        body = last.payload or {}
        if "error" in body:
            raise errors.restore(body["error"])
        if "answer" not in body:
            raise KeySpentError()
        kept = body["answer"]
        data = kept if isinstance(kept, str) else await self._blobs.get(kept["$blob"])
        answer = msgspec.json.decode(data, type=Answer)
        return msgspec.structs.replace(answer, replayed=True)


def _stream(call: Call) -> str:
    key = call.key or ""
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise InvalidError(
            f"an Idempotency-Key has 1 to {KEY_LENGTH_MAX} visible ASCII characters",
            code="gateway.key",
        )
    name = hashing.digest([str(call.caller.principal.actor), key])
    return "request/" + name.removeprefix("sha256:")[:32]
