"""HTTP by httpx: one pool of connections for all providers of an installation.

Uses httpx's transport without its client, since cookies, redirects and proxy
settings from the process environment are exactly what a call to a model must
not pick up on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from agentsquad.integrations.connectors.ai.adapters.body import whole
from agentsquad.integrations.connectors.ai.contract import (
    HttpReply,
    HttpRequest,
    HttpStream,
    ModelDeadlineError,
    ModelUnavailableError,
)

CONNECT_S = 10.0


class HttpxTransport:
    """A Transport. `proxy` is used for every request, `ca_file` replaces the
    usual roots.
    """

    def __init__(self, *, proxy: str | None = None, ca_file: str | None = None) -> None:
        self._proxy = proxy
        self._ca_file = ca_file
        self._pool: httpx.AsyncHTTPTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: HttpRequest, *, timeout_ms: float | None) -> HttpReply:
        """Return the whole answer."""
        try:
            async with asyncio.timeout(_seconds(timeout_ms)):
                response = await self._open(request)
                try:
                    body = await response.aread()
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise _late(request, timeout_ms) from error
        except httpx.HTTPError as error:
            raise _unreachable(request, error) from error
        return HttpReply(status=response.status_code, headers=_headers(response), body=body)

    @asynccontextmanager
    async def stream(
        self, request: HttpRequest, *, timeout_ms: float | None
    ) -> AsyncIterator[HttpStream]:
        """Open an answer; the timeout covers everything until the block is
        left.
        """
        end = None
        if timeout_ms is not None:
            end = asyncio.get_running_loop().time() + timeout_ms / 1000
        opened = _Stream(request, timeout_ms, end)
        await opened.open(self)
        try:
            yield opened
        finally:
            await opened.close()

    async def close(self) -> None:
        """Let go of all connections."""
        pool, self._pool = self._pool, None
        if pool is not None and self._loop is asyncio.get_running_loop():
            await pool.aclose()

    async def _open(self, request: HttpRequest) -> httpx.Response:
        """Send and return as soon as the headers are here."""
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            self._pool, self._loop = self._new_pool(), loop
        return await self._pool.handle_async_request(
            httpx.Request(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                extensions={"timeout": {"connect": CONNECT_S}},
            )
        )

    def _new_pool(self) -> httpx.AsyncHTTPTransport:
        verify: object = True
        if self._ca_file is not None:
            import ssl

            verify = ssl.create_default_context(cafile=self._ca_file)
        return httpx.AsyncHTTPTransport(
            verify=verify,  # type: ignore[arg-type]
            trust_env=False,
            proxy=self._proxy,
            limits=httpx.Limits(max_connections=256, max_keepalive_connections=64),
        )


class _Stream:
    """An open answer; every wait inside it ends at the same moment."""

    def __init__(self, request: HttpRequest, timeout_ms: float | None, end: float | None) -> None:
        self._request = request
        self._timeout_ms = timeout_ms
        self._end = end
        self._response: httpx.Response | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}

    async def open(self, transport: HttpxTransport) -> None:
        try:
            async with asyncio.timeout_at(self._end):
                response = await transport._open(self._request)
        except TimeoutError as error:
            raise _late(self._request, self._timeout_ms) from error
        except httpx.HTTPError as error:
            raise _unreachable(self._request, error) from error
        self._response = response
        self.status, self.headers = response.status_code, _headers(response)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        The timeout is set around each wait, never around a yield: it would
        cancel whoever is using the piece at that moment.
        """
        assert self._response is not None
        arriving = self._response.aiter_bytes()
        while True:
            try:
                async with asyncio.timeout_at(self._end):
                    piece = await anext(arriving, None)
            except TimeoutError as error:
                raise _late(self._request, self._timeout_ms) from error
            except httpx.HTTPError as error:
                raise _unreachable(self._request, error) from error
            if piece is None:
                return
            yield piece

    async def read(self) -> bytes:
        """Return the rest of the body at once."""
        return await whole(self.pieces())

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()


def _seconds(timeout_ms: float | None) -> float | None:
    return None if timeout_ms is None else max(0.0, timeout_ms / 1000)


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _host(request: HttpRequest) -> str:
    return urlsplit(request.url).netloc.rpartition("@")[2]


def _late(request: HttpRequest, timeout_ms: float | None) -> ModelDeadlineError:
    return ModelDeadlineError(
        f"{_host(request)} did not finish its answer within {timeout_ms or 0:.0f} ms",
        hint="allow more time, or ask for fewer tokens",
    )


def _unreachable(request: HttpRequest, error: httpx.HTTPError) -> ModelUnavailableError:
    host = _host(request)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ModelUnavailableError(
            f"cannot connect to {host}",
            hint="check 'endpoint' and the network",
            private=repr(error),
        )
    return ModelUnavailableError(
        f"{host} broke off before its answer was complete", private=repr(error)
    )
