"""The door that agents knock at: HTTP/1.1 by h11, on a socket of this machine.

Lean, since every model call of an agent passes it; one connection serves one
request after the other. Whoever hangs up is no longer waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import unquote

import h11

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy.answering import refusal
from agentsquad.integrations.proxy.contract import (
    Answerer,
    ProxyBusyError,
    ProxyListenError,
    ProxyRequestError,
    ProxySizeError,
    Response,
)
from agentsquad.kernel.errors import BugError, SquadError, record

HEAD_MAX = 64 * 1024
CONNECTIONS_MAX = 1000
IDLE_S = 120.0  # between two requests, and for one to arrive


class HttpListener:
    """Opens doors."""

    async def listen(self, answerer: Answerer, host: str, port: int) -> HttpDoor:
        """Open one; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        door = HttpDoor(answerer)
        try:
            door.server = await loop.create_server(lambda: Connection(door), host, port)
        except OSError as error:
            raise ProxyListenError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                hint="--listen 127.0.0.1:0 takes a free port",
            ) from error
        number = door.server.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        door.address = f"http://{shown}:{number}"
        return door


class HttpDoor:
    """An open door and its connections."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self.address = ""
        self.server: asyncio.Server | None = None
        self.connections: set[Connection] = set()

    async def close(self) -> None:
        """Take no more connections and let go of those there are."""
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections):
            connection.drop()
        if self.server is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.server.wait_closed(), 5)


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out, in turn."""

    def __init__(self, door: HttpDoor) -> None:
        self._door = door
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._refused: SquadError | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._door.connections.add(self)
        if len(self._door.connections) > CONNECTIONS_MAX:
            self._refused = ProxyBusyError(retry_after_ms=1000)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of whoever hung up, and of what was done for them."""
        self._door.connections.discard(self)
        self._calm()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Hear that the other side reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Hear that it has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take in what arrived."""
        try:
            self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            self._fail(error)
            return
        self._advance()

    def eof_received(self) -> bool:
        """Hear that nothing more will come."""
        return False

    def drop(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _advance(self) -> None:
        while self._task is None:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._fail(error)
                return
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    self._send(go_on)
                return
            if isinstance(event, h11.Request):
                self._request, self._body = event, bytearray()
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > apis.BODY_MAX:
                    self._too_large()
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._calm()
                self._task = asyncio.get_running_loop().create_task(self._serve())
                self._task.add_done_callback(self._served)
            else:  # paused, or closed by the other side
                if isinstance(event, h11.ConnectionClosed):
                    self.drop()
                return

    def _too_large(self) -> None:
        self._calm()
        self._refused = ProxySizeError(f"the body is larger than {apis.BODY_MAX} bytes")
        self._body = bytearray()
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(self._served)

    async def _serve(self) -> None:
        request = self._request
        assert request is not None
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers
        }
        response: Response
        if self._refused is not None:
            response = refusal(apis.vendor_of("", headers), record(self._refused))
        else:
            method, path = request.method.decode("ascii"), path_of(request.target)
            try:
                response = await self._door.answerer.answer(
                    method, path, headers, bytes(self._body)
                )
            except Exception as error:  # noqa: BLE001 - the agent gets an answer in any case
                bug = BugError(f"the proxy failed: {type(error).__name__}", private=repr(error))
                response = refusal(apis.vendor_of(path, headers), record(bug))
        await self._answer(response)

    async def _answer(self, response: Response) -> None:
        data: bytes | None = getattr(response, "data", None)
        length = [] if data is None else [("content-length", str(len(data)))]
        head = [*response.headers.items(), *length]
        if self._refused is not None:
            head.append(("connection", "close"))
        try:
            if data is not None:
                self._send(
                    h11.Response(status_code=response.status, headers=head),
                    h11.Data(data=data),
                    h11.EndOfMessage(),
                )
                return
            self._send(h11.Response(status_code=response.status, headers=head))
            async for piece in response.body():
                if not self._writable.is_set():
                    await self._writable.wait()
                self._send(h11.Data(data=piece))
            self._send(h11.EndOfMessage())
        except SquadError:
            self._transport.abort()  # what was begun cannot be taken back: it breaks off
        except asyncio.CancelledError:
            response.leave()
            raise

    def _send(self, *events: Any) -> None:
        out = b"".join(self._http.send(event) or b"" for event in events)
        if not self._transport.is_closing():
            self._transport.write(out)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled() or self._transport.is_closing():
            return
        if task.exception() is not None:
            self._transport.abort()
            return
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._wait()
            self._advance()
        else:
            self.drop()

    def _fail(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is no HTTP, as far as it can be answered."""
        if self._task is not None:
            return
        refused = ProxyRequestError(f"this is not HTTP: {error}")
        answer = refusal(apis.OPENAI, record(refused))
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head = [*answer.headers.items(), ("content-length", str(len(answer.data)))]
            status = error.error_status_hint or 400
            with contextlib.suppress(h11.LocalProtocolError):
                self._send(
                    h11.Response(status_code=status, headers=[*head, ("connection", "close")]),
                    h11.Data(data=answer.data),
                    h11.EndOfMessage(),
                )
        self.drop()

    def _wait(self) -> None:
        self._calm()
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.drop)

    def _calm(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def path_of(target: bytes) -> str:
    """Return the path of a request's target, without host and query."""
    text = target.decode("latin-1").partition("?")[0]
    if not text.startswith("/"):
        rest = text.partition("://")[2]
        text = "/" + rest.partition("/")[2]
    return unquote(text, errors="replace")
