"""HTTP/1.1 by h11 over the sockets themselves, for many calls at once.

The pool of the usual client looks at every connection for every request, which
at fifty in flight costs more than the request. Here a connection that is free
is on a stack by its address, and nothing else is looked at. Connections go
straight to where they lead; behind an HTTP proxy the other transport serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h11

from agentsquad.integrations.connectors.ai.adapters.body import whole
from agentsquad.integrations.connectors.ai.contract import (
    HttpReply,
    HttpRequest,
    HttpStream,
    ModelDeadlineError,
    ModelUnavailableError,
)

CONNECT_S = 10.0
READ = 64 * 1024
FREE_MAX = 256  # connections kept for one address
Address = tuple[str, str, int]


class _Line:
    """One connection."""

    __slots__ = ("fresh", "http", "reader", "writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.http = h11.Connection(h11.CLIENT)
        self.fresh = True

    @property
    def usable(self) -> bool:
        """Whether nobody hung up and nothing is left from before."""
        open_ = not (self.writer.is_closing() or self.reader.at_eof())
        return open_ and self.http.our_state is h11.IDLE

    async def next_event(self) -> h11.Event:
        """Return what comes next; raises when the other side breaks off."""
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(await self.reader.read(READ))
                continue
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, (type, h11.ConnectionClosed)):
                raise h11.RemoteProtocolError("the connection was closed")
            return event

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


class WireTransport:
    """A Transport over connections of its own."""

    def __init__(self, *, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._free: dict[Address, list[_Line]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: HttpRequest, *, timeout_ms: float | None) -> HttpReply:
        """Return the whole answer."""
        async with self.stream(request, timeout_ms=timeout_ms) as reply:
            return HttpReply(status=reply.status, headers=reply.headers, body=await reply.read())

    @asynccontextmanager
    async def stream(
        self, request: HttpRequest, *, timeout_ms: float | None
    ) -> AsyncIterator[HttpStream]:
        """Open an answer; the timeout covers everything until the block is
        left."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._free, self._loop = {}, loop
        end = None if timeout_ms is None else loop.time() + max(0.0, timeout_ms / 1000)
        reply = _Reply(self, request, timeout_ms, end)
        await reply.open()
        try:
            yield reply
        finally:
            reply.close()

    async def close(self) -> None:
        """Let go of all connections."""
        free, self._free = self._free, {}
        if self._loop is asyncio.get_running_loop():
            for line in (one for lines in free.values() for one in lines):
                line.close()
                with contextlib.suppress(OSError, ssl.SSLError):
                    await line.writer.wait_closed()

    async def _line(self, address: Address, *, fresh: bool = False) -> _Line:
        free = self._free.get(address)
        while free and not fresh:
            line = free.pop()
            if line.usable:
                return line
            line.close()
        scheme, host, port = address
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=self._context() if scheme == "https" else None
            )
        return _Line(reader, writer)

    def _keep(self, address: Address, line: _Line) -> None:
        free = self._free.setdefault(address, [])
        if len(free) >= FREE_MAX:
            line.close()
        else:
            line.fresh = False
            free.append(line)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._ca_file)
        return self._tls


class _Reply:
    """An open answer; every wait inside it ends at the same moment."""

    def __init__(
        self,
        transport: WireTransport,
        request: HttpRequest,
        timeout_ms: float | None,
        end: float | None,
    ) -> None:
        self._transport = transport
        self._request = request
        self._timeout_ms = timeout_ms
        self._end = end
        parts = urlsplit(request.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._address: Address = (parts.scheme, parts.hostname or "", port)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host = parts.netloc.rpartition("@")[2]
        self._line: _Line | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}

    async def open(self) -> None:
        """Send, and return when the head of the answer is here. A connection
        that was kept may have been closed meanwhile: then once more on a new
        one."""
        try:
            async with asyncio.timeout_at(self._end):
                try:
                    await self._sent(await self._transport._line(self._address))
                except (h11.RemoteProtocolError, ConnectionError):
                    if self._line is None or self._line.fresh:
                        raise
                    self.close()
                    await self._sent(await self._transport._line(self._address, fresh=True))
        except TimeoutError as error:
            self.close()
            late = self._end is not None and asyncio.get_running_loop().time() >= self._end
            raise (self._late() if late else self._unreachable(error)) from error
        except (OSError, ssl.SSLError, h11.RemoteProtocolError) as error:
            self.close()
            raise self._unreachable(error) from error
        except BaseException:
            self.close()
            raise

    async def _sent(self, line: _Line) -> None:
        self._line = line
        request = self._request
        headers = [("host", self._host), *request.headers.items()]
        if request.body or request.method == "POST":
            headers.append(("content-length", str(len(request.body))))
        http = line.http
        head = h11.Request(method=request.method, target=self._target, headers=headers)
        data = http.send(head) or b""
        if request.body:
            data += http.send(h11.Data(data=request.body)) or b""
        line.writer.write(data + (http.send(h11.EndOfMessage()) or b""))
        await line.writer.drain()
        event = await line.next_event()
        assert isinstance(event, h11.Response)
        self.status = event.status_code
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
        }

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; the timeout is around each wait, never
        around a yield."""
        line = self._line
        assert line is not None
        while True:
            try:
                async with asyncio.timeout_at(self._end):
                    event = await line.next_event()
            except TimeoutError as error:
                raise self._late() from error
            except (OSError, ssl.SSLError, h11.RemoteProtocolError) as error:
                raise self._broken(error) from error
            if isinstance(event, h11.EndOfMessage):
                return
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    async def read(self) -> bytes:
        """Return the rest of the body at once."""
        return await whole(self.pieces())

    def close(self) -> None:
        """Keep the connection if the answer was heard to its end, else hang
        up."""
        line, self._line = self._line, None
        if line is None:
            return
        if line.http.our_state is h11.DONE and line.http.their_state is h11.DONE:
            line.http.start_next_cycle()
            self._transport._keep(self._address, line)
        else:
            line.close()

    def _late(self) -> ModelDeadlineError:
        return ModelDeadlineError(
            f"{self._host} did not finish its answer within {self._timeout_ms or 0:.0f} ms",
            hint="allow more time, or ask for fewer tokens",
        )

    def _unreachable(self, error: BaseException) -> ModelUnavailableError:
        if isinstance(error, h11.RemoteProtocolError):
            return self._broken(error)
        return ModelUnavailableError(
            f"cannot connect to {self._host}",
            hint="check 'endpoint' and the network",
            private=repr(error),
        )

    def _broken(self, error: BaseException) -> ModelUnavailableError:
        return ModelUnavailableError(
            f"{self._host} broke off before its answer was complete", private=repr(error)
        )
