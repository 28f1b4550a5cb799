"""The methods: one call of the gateway each; streams of events, blobs and
calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import msgspec
from google.protobuf.message import DecodeError

from agentsquad.kernel.errors import InvalidError, LimitError, SquadError, surface_of
from agentsquad.surfaces.gateway.contract import (
    DEFAULT_NAMESPACE,
    Call,
    Caller,
    File,
    Following,
    Gateway,
)
from agentsquad.surfaces.gateway.http import KEY_HEADER, NAMESPACE_HEADER
from agentsquad.surfaces.grpc.contract import BLOBS, CALLS, EVENTS, PACKAGE, SURFACE, Limits
from agentsquad.surfaces.grpc.description import Description, Method
from agentsquad.surfaces.grpc.translation import event_of, fill, made, plain, wanted
from agentsquad.trust.identity.contract import Shown
from agentsquad.trust.threats.contract import Hit

ERROR_TRAILER = "squad-error-bin"  # the error as JSON, beside its status


class Service:
    """Every method of this surface over one gateway."""

    def __init__(self, gateway: Gateway, described: Description, limits: Limits) -> None:
        self._gateway = gateway
        self._described = described
        self._limits = limits

    def handlers(self) -> list[Any]:
        """Return the handlers of every service."""
        found: dict[str, dict[str, Any]] = {}
        for method in self._described.methods:
            found.setdefault(method.service, {})[method.name] = self._unary(method)
        found.setdefault(EVENTS, {})["Follow"] = grpc.unary_stream_rpc_method_handler(
            self._follow, **self._coding("FollowRequest")
        )
        found[BLOBS] = {
            "Put": grpc.stream_unary_rpc_method_handler(self._put, **self._coding("BlobChunk")),
            "Get": grpc.unary_stream_rpc_method_handler(self._get, **self._coding("BlobRequest")),
        }
        found[CALLS] = {
            "Stream": grpc.stream_stream_rpc_method_handler(
                self._stream, **self._coding("CallRequest")
            )
        }
        return [
            grpc.method_handlers_generic_handler(f"{PACKAGE}.{service}", methods)
            for service, methods in found.items()
        ]

    def _coding(self, given: str) -> dict[str, Callable[..., Any]]:
        kind = self._described.kind(given)

        def read(data: bytes) -> Any:
            try:
                return kind.FromString(data)
            except DecodeError:  # said by the method; the library would call it unknown
                return None

        return {
            "request_deserializer": read,
            "response_serializer": lambda message: message.SerializeToString(),
        }

    # --- who asks

    async def _enter(self, context: Any, method: str) -> tuple[Caller, dict[str, str]]:
        metadata = {
            name: value
            for name, value in context.invocation_metadata() or ()
            if isinstance(value, str)
        }
        scheme, _, bearer = metadata.get("authorization", "").partition(" ")
        address = _address(context.peer())
        caller = await self._gateway.enter(
            Hit(
                surface=SURFACE,
                method="POST",
                path=method,
                route=method,
                headers=metadata,
                address=address,
            ),
            Shown(
                bearer=bearer.strip() if scheme.lower() == "bearer" else metadata.get("x-api-key"),
                address=address,
            ),
            namespace=metadata.get(NAMESPACE_HEADER, DEFAULT_NAMESPACE),
            trace=metadata.get("traceparent", ""),
        )
        return caller, metadata

    # --- actions

    def _unary(self, method: Method) -> Any:
        fields = self._gateway.operation(method.action).fields
        answered = self._described.kind(method.answered)

        async def call(request: Any, context: Any) -> Any:
            try:
                caller, metadata = await self._enter(context, method.path)
                refuse_unread(request)
                answer = await self._gateway.call(
                    Call(
                        action=method.action,
                        value=wanted(plain(request), fields),
                        caller=caller,
                        key=metadata.get(KEY_HEADER),
                        timeout_ms=_left_ms(context),
                    )
                )
            except SquadError as error:
                await _fail(context, error)
            else:
                if answer.replayed:
                    context.set_trailing_metadata((("squad-replayed", "true"),))
                if not method.wraps:
                    return fill(answered(), answer.value)
                files_made = [made(one) for one in answer.files]
                return fill(answered(), {"value": answer.value, "files": files_made})

        return grpc.unary_unary_rpc_method_handler(call, **self._coding(method.given))

    # --- events

    async def _follow(self, request: Any, context: Any) -> AsyncIterator[Any]:
        kind = self._described.kind("Event")
        try:
            caller, _ = await self._enter(context, f"/{PACKAGE}.{EVENTS}/Follow")
            refuse_unread(request)
            after = request.after
            if not request.HasField("after"):
                after = await self._gateway.place(caller)
            what = Following(
                after=after, types=tuple(request.types), streams=tuple(request.streams)
            )
            async for event in self._gateway.follow(caller, what):
                yield event_of(kind, event)
        except SquadError as error:
            await _fail(context, error)

    # --- blobs

    async def _put(self, chunks: Any, context: Any) -> Any:
        try:
            caller, _ = await self._enter(context, f"/{PACKAGE}.{BLOBS}/Put")
            data, media = bytearray(), ""
            async for chunk in chunks:
                refuse_unread(chunk)
                data += chunk.data
                media = media or chunk.media_type
                if len(data) > self._limits.blob:
                    raise LimitError(
                        f"a blob has at most {self._limits.blob} bytes", code="grpc.blob"
                    )
            file = File(
                name="blob", data=bytes(data), media_type=media or "application/octet-stream"
            )
            kept = await self._gateway.keep(caller, file)
            return self._described.kind("BlobReference")(
                digest=kept["$blob"], size=kept["size"], media_type=kept["media_type"]
            )
        except SquadError as error:
            await _fail(context, error)

    async def _get(self, request: Any, context: Any) -> AsyncIterator[Any]:
        kind, size = self._described.kind("BlobChunk"), self._limits.chunk
        try:
            caller, _ = await self._enter(context, f"/{PACKAGE}.{BLOBS}/Get")
            refuse_unread(request)
            file = await self._gateway.blob(caller, request.digest)
            for begin in range(0, max(1, len(file.data)), size):
                yield kind(data=file.data[begin : begin + size], media_type=file.media_type)
        except SquadError as error:
            await _fail(context, error)

    # --- calls over one stream

    async def _stream(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        """Answer calls as they end, in any order; each says which it was."""
        try:
            caller, _ = await self._enter(context, f"/{PACKAGE}.{CALLS}/Stream")
        except SquadError as error:
            await _fail(context, error)
            return
        answers: asyncio.Queue[Any] = asyncio.Queue()
        room = asyncio.Semaphore(self._limits.calls)
        tasks: set[asyncio.Task[None]] = set()

        async def one(request: Any) -> None:
            try:
                await answers.put(await self._answered(request, caller))
            finally:
                room.release()

        async def all_of_them() -> None:
            async for request in requests:
                await room.acquire()
                task = asyncio.ensure_future(one(request))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
            await answers.put(None)

        reading = asyncio.ensure_future(all_of_them())
        try:
            while (answer := await answers.get()) is not None:
                yield answer
        finally:
            reading.cancel()
            for task in tasks:
                task.cancel()

    async def _answered(self, request: Any, caller: Caller) -> Any:
        kind = self._described.kind("CallAnswer")
        try:
            refuse_unread(request)
            found = plain(request)
            value = found.get("input", {})
            answer = await self._gateway.call(
                Call(
                    action=request.action,
                    value=value if isinstance(value, dict) else {"value": value},
                    caller=caller,
                    key=found.get("idempotency_key"),
                    timeout_ms=int(found["timeout_ms"]) if "timeout_ms" in found else None,
                )
            )
        except SquadError as error:
            row = surface_of(error)
            body = {**error.to_dict(), "grpc_status": row.grpc}
            return fill(kind(), {"id": getattr(request, "id", ""), "error": body})
        body = {
            "id": request.id,
            "output": answer.value,
            "replayed": answer.replayed,
            "files": [made(one) for one in answer.files],
        }
        return fill(kind(), body)


class UnreadError(InvalidError):
    """The request is not the message of its method."""

    code = "grpc.message"


def refuse_unread(request: Any) -> None:
    """Raise UnreadError for bytes that were no message."""
    if request is None:
        raise UnreadError(hint="ask reflection, or see docs/reference/squad.proto")


def _address(peer: str) -> str:
    """Return the address of `ipv4:127.0.0.1:4711` or `ipv6:[::1]:4711`."""
    host = peer.partition(":")[2].rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]")


def _left_ms(context: Any) -> int | None:
    left = context.time_remaining()
    return None if left is None else max(1, int(left * 1000))


async def _fail(context: Any, error: SquadError) -> None:
    """End a method with an error of the table."""
    body = msgspec.json.encode(error.to_dict())
    trailers: list[tuple[str, str | bytes]] = [(ERROR_TRAILER, body)]
    if error.retry_after_ms is not None:
        trailers.append(("grpc-retry-pushback-ms", str(error.retry_after_ms)))
    code = grpc.StatusCode[surface_of(error).grpc]
    await context.abort(code, f"{error.message} [{error.code}]", tuple(trailers))
