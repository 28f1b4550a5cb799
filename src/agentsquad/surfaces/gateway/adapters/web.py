"""The HTTP server: Hypercorn on sockets of our own, so that port 0 can be told
and a second server on the same port is an error of ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypercorn.asyncio import run, serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.protocol import h2, h11
from hypercorn.protocol.ws_stream import WSStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from wsproto.events import Ping

from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError
from agentsquad.surfaces.gateway.http import problem

BACKLOG = 1024
HEADERS_MAX = 64 * 1024  # bytes
STREAMS_MAX = 256  # at once in one HTTP/2 connection
MESSAGE_MAX = 1024 * 1024 + 4096  # bytes of one WebSocket message, with what is around it
PING_S = 20.0
IDLE_S = 75


def application(routes: list[Any]) -> Any:
    """Return one ASGI application of routes; what fits none of them is a
    problem like any other."""

    async def unknown(request: Request, error: Exception) -> Response:
        found = MissingError(f"there is nothing at {request.url.path}", code="http.missing")
        return problem(found)

    return Starlette(routes=routes, exception_handlers={404: unknown})


class Connection(TCPServer):
    """A connection that is let go of as soon as its client has closed it.

    The library waits until it would have been idle for too long: each one that
    is closed earlier would hold a handle until then.
    """

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


class Socket(WSStream):
    """A WebSocket whose pings end when it does.

    The library goes on until the next one is due: until then the connection
    would keep its handle, and a server that ends would wait for it.
    """

    _over: asyncio.Event | None = None
    _closed = False

    @property
    def closed(self) -> bool:
        """Whether either side has closed it."""
        return self._closed

    @closed.setter
    def closed(self, closed: bool) -> None:
        self._closed = closed
        if closed and self._over is not None:
            self._over.set()

    async def _send_pings(self) -> None:
        self._over = asyncio.Event()
        while not self.closed:
            await self._send_wsproto_event(Ping())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), PING_S)


run.TCPServer = Connection  # type: ignore[attr-defined]
h11.WSStream = h2.WSStream = Socket  # type: ignore[attr-defined]


class Web:
    """One bound address; serve once."""

    def __init__(self, host: str, port: int, tls: tuple[Path, Path] | None) -> None:
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)  # who is early waits, and is not sent away
        except OSError as error:
            self._socket.close()
            raise _bound(host, port, error) from error
        self._socket.setblocking(False)
        shown = f"[{host}]" if ":" in host else host
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://{shown}:{self._socket.getsockname()[1]}"  # where it listens

    async def serve(self, app: Any, ended: Callable[[], Awaitable[None]], patience_ms: int) -> None:
        """Serve until `ended` returns, then let requests under way end."""
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.backlog = BACKLOG
        config.include_server_header = False
        config.h11_max_incomplete_size = HEADERS_MAX
        config.h2_max_header_list_size = HEADERS_MAX
        config.h2_max_concurrent_streams = STREAMS_MAX
        config.websocket_max_message_size = MESSAGE_MAX
        config.websocket_ping_interval = PING_S
        config.keep_alive_timeout = IDLE_S
        config.keep_alive_max_requests = 1_000_000
        config.graceful_timeout = patience_ms / 1000
        config.shutdown_timeout = patience_ms / 1000 + 1
        config.accesslog = None
        config.errorlog = logging.getLogger("agentsquad.web")
        config.wsgi_max_body_size = 0
        if self._tls is not None:
            config.certfile, config.keyfile = map(str, self._tls)
        await serve(app, config, shutdown_trigger=ended)


def _bound(host: str, port: int, error: OSError) -> Exception:
    if error.errno in (98, 48):  # EADDRINUSE on Linux and on BSD
        return ConflictError(
            f"{host}:{port} is in use",
            code="server.port_taken",
            hint="stop the server that has it, or give --listen another port; 0 takes a free one",
        )
    return InvalidError(
        f"cannot listen on {host}:{port}: {error.strerror}",
        code="server.listen",
        hint="an address of this machine, e.g. --listen 127.0.0.1:8420",
    )
