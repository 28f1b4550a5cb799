"""Notifications over HTTP by httpx, to the address that was looked at.

A name is resolved once, every address it has is judged, and the connection is
made to one of those: a name that leads elsewhere a moment later leads nowhere.
No redirects, no cookies, no proxy of the environment.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from urllib.parse import urlunsplit

import httpx

from agentsquad.surfaces.a2a.contract import Receipt
from agentsquad.surfaces.a2a.reachable import Allowed, chosen, parts_of

TIMEOUT_S = 15.0
AFTER_MAX_S = 3600.0


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
        parts = parts_of(url)
        addresses = await _resolved(parts.hostname or "", parts.port)
        if not addresses:
            return Receipt(why=f"{parts.hostname} has no address now")
        address = chosen(parts, addresses, self._also)
        place = f"[{address}]" if ":" in address else address
        place += "" if parts.port is None else f":{parts.port}"
        target = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
        told = {**headers, "Host": parts.netloc}
        extensions = {"sni_hostname": parts.hostname}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._http().stream(
                    "POST", target, content=body, headers=told, extensions=extensions
                ) as response,
            ):
                return _receipt(response)  # what it says besides is not read
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return Receipt(why=f"{parts.hostname}: {str(error) or type(error).__name__}"[:300])

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
