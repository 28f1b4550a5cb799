"""Notifications and files over HTTP by httpx, at addresses that were judged.

A name is resolved once, every address it has is judged, and the connection is
made to one of those: a name that leads elsewhere a moment later leads nowhere.
No redirects, no cookies, no proxy of the environment.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlunsplit

import httpx

from agentsquad.surfaces.a2a.contract import FileError, Receipt
from agentsquad.surfaces.a2a.reachable import Allowed, chosen, parts_of

TIMEOUT_S = 15.0
AFTER_MAX_S = 3600.0
FILE_MAX = 16 * 2**20


class _Nowhere(Exception):
    """A name leads nowhere at this moment."""


class HttpWebhooks:
    """Sends to addresses that may be reached (`Webhooks`)."""

    def __init__(self, on: bool, also: Allowed, authorities: str | None = None) -> None:
        """`authorities` is a file with certificates that count besides."""
        self.on = on
        self._also = also
        self._authorities = authorities
        self._client: httpx.AsyncClient | None = None

    async def admit(self, url: str) -> None:
        """Raise PushUrlError unless notifications may go there."""
        parts = parts_of(url)
        chosen(parts, await _resolved(parts.hostname or "", parts.port), self._also)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """Deliver, and say what came of it."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._asked("POST", url, body, headers) as found:
                return _receipt(found)  # what it says besides is not read
        except _Nowhere as error:
            return Receipt(why=str(error))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            host = parts_of(url).hostname
            return Receipt(why=f"{host}: {str(error) or type(error).__name__}"[:300])

    async def get(self, url: str) -> tuple[bytes, str]:
        """Return what is at an address, and its media type."""
        host = parts_of(url).hostname
        try:
            async with asyncio.timeout(TIMEOUT_S), self._asked("GET", url, b"", {}) as response:
                if response.status_code != 200:
                    raise FileError(f"{host} answered {response.status_code}")
                found = bytearray()
                async for chunk in response.aiter_bytes():
                    found += chunk
                    if len(found) > FILE_MAX:
                        raise FileError(f"a file of at most {FILE_MAX} bytes is taken")
                media_type = response.headers.get("content-type", "").partition(";")[0].strip()
                return bytes(found), media_type
        except _Nowhere as error:
            raise FileError(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise FileError(f"{host}: {str(error) or type(error).__name__}"[:300]) from error

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """Make a request to one of the addresses that a name has now."""
        parts = parts_of(url)
        addresses = await _resolved(parts.hostname or "", parts.port)
        if not addresses:
            raise _Nowhere(f"{parts.hostname} has no address now")
        address = chosen(parts, addresses, self._also)
        place = f"[{address}]" if ":" in address else address
        place += "" if parts.port is None else f":{parts.port}"
        target = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
        told = {**headers, "Host": parts.netloc}
        extensions = {"sni_hostname": parts.hostname}
        client = self._http()
        async with client.stream(
            method, target, content=body, headers=told, extensions=extensions
        ) as response:
            yield response

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            import ssl

            self._client = httpx.AsyncClient(
                timeout=TIMEOUT_S,
                trust_env=False,
                verify=ssl.create_default_context(cafile=self._authorities),
                limits=httpx.Limits(max_connections=16, max_keepalive_connections=0),
            )
        return self._client


def _receipt(response: httpx.Response) -> Receipt:
    after = response.headers.get("retry-after", "")
    seconds = float(after) if after.isascii() and after.isdigit() else 0.0
    why = "" if response.is_success else f"answered {response.status_code}"
    return Receipt(status=response.status_code, why=why, after_s=min(seconds, AFTER_MAX_S))


async def _resolved(host: str, port: int | None) -> list[str]:
    """Return the addresses of a host, those of both kinds; none where there are
    none now."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            found = await loop.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return []
    return list(dict.fromkeys(str(one[4][0]) for one in found))
