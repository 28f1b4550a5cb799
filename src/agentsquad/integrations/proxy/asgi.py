"""The proxy as an ASGI application, for a server that has a place for it.

The server says who answers a request once it knows who asks; nobody is
recognised here. `root_path` of a mount is left out of what is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy.answering import refusal
from agentsquad.integrations.proxy.contract import Answerer, ProxySizeError, Response
from agentsquad.kernel.errors import BugError, SquadError, record

Chosen = Callable[[Any, Mapping[str, str]], Awaitable[Answerer]]


class ProxyApp:
    """Answers HTTP requests of an ASGI server; `choose(scope, headers)` returns
    who answers, or raises what keeps the caller out."""

    def __init__(self, choose: Chosen) -> None:
        self._choose = choose

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        response = await self._response(scope, receive, headers, path)
        if response is not None:
            await _send(response, send)

    async def _response(
        self, scope: Any, receive: Any, headers: Mapping[str, str], path: str
    ) -> Response | None:
        vendor = apis.vendor_of(path, headers)
        try:
            answerer = await self._choose(scope, headers)
            data = await _body(receive)
            if data is None:
                return None
            return await answerer.answer(scope["method"], path, headers, data)
        except SquadError as error:
            return refusal(vendor, record(error))
        except Exception as error:  # noqa: BLE001 - the agent gets an answer in any case
            bug = BugError(f"the proxy failed: {type(error).__name__}", private=repr(error))
            return refusal(vendor, record(bug))


async def _body(receive: Any) -> bytes | None:
    """Return the whole body; None when the client went away."""
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        data += message.get("body", b"")
        if len(data) > apis.BODY_MAX:
            raise ProxySizeError(f"the body is larger than {apis.BODY_MAX} bytes")
        if not message.get("more_body"):
            return bytes(data)


async def _send(response: Response, send: Any) -> None:
    head = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
    ]
    whole: bytes | None = getattr(response, "data", None)
    if whole is not None:
        head.append((b"content-length", str(len(whole)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": head})
    ended = False
    try:
        async for piece in response.body():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        ended = True
    finally:
        if not ended:
            response.leave()
    await send({"type": "http.response.body", "body": b""})
