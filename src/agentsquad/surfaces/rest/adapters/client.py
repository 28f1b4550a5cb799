"""A server elsewhere, spoken to over HTTP by httpx.

Certificates are always verified. Redirects are not followed, so that a token
goes nowhere but to the server it is of. A call that changes something has a
key, and is sent again with it when the answer is lost on the way or is not
there in time: it is carried out once however often it is sent.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec

from agentsquad.kernel.errors import (
    BugError,
    DeadlineError,
    InvalidError,
    SquadError,
    UnavailableError,
    restore,
    surface_of,
)
from agentsquad.surfaces.gateway.contract import DEFAULT_NAMESPACE, Answer, File
from agentsquad.surfaces.rest.contract import Place, ServerUnknownError

CONNECT_S = 10.0
WAIT_S = 60  # how long the server lets one request wait
SLACK_S = 30
TRIES = 4
PAUSE_S = (0.2, 0.6, 1.8)
CERTIFICATE = "certificate verify failed"
Bearer = Callable[[str | None], Awaitable[str | None]]
"""Returns the token to show; it is told one that was refused."""


class ServerClient:
    """Calls actions of one server in one namespace."""

    def __init__(
        self,
        place: Place,
        namespace: str = DEFAULT_NAMESPACE,
        bearer: Bearer | None = None,
    ) -> None:
        self._place = place
        self._bearer = bearer
        self._namespace = namespace
        self._http: httpx.AsyncClient | None = None
        self._spoken = False

    @property
    def _open(self) -> httpx.AsyncClient:
        if self._http is None:
            headers = {"Accept": "application/json", "Squad-Namespace": self._namespace}
            self._http = connection(self._place, WAIT_S + SLACK_S, headers)
        return self._http

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Answer:
        """Call an action; with a key, wait for its answer however long it
        takes."""
        path = f"/v1/actions/{action}"
        headers = {"Content-Type": "application/json", "Prefer": f"wait={WAIT_S}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        body = msgspec.json.encode(value)
        tries = 0
        while True:
            try:
                found = _answered(await self._sent("POST", path, body, headers))
            except DeadlineError as error:
                if key is None or error.code != "gateway.deadline":
                    raise
                tries = 0
            except UnavailableError as error:
                tries += 1
                never = error.code == "server.unreachable" and not self._spoken
                if tries >= TRIES or never:
                    raise
                await asyncio.sleep(PAUSE_S[tries - 1])
            else:
                return found

    async def keep(self, file: File) -> Mapping[str, Any]:
        """Keep bytes as a blob and return how to refer to it."""
        headers = {"Content-Type": file.media_type}
        response = await self._sent("POST", "/v1/blobs", file.data, headers)
        found: Mapping[str, Any] = _read(response)
        return found

    async def _sent(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        token = await self._token()
        response = await self._asked(method, path, body, _shown(headers, token))
        if response.status_code == 401 and token is not None:
            newer = await self._token(refused=token)
            if newer != token:
                response = await self._asked(method, path, body, _shown(headers, newer))
        if response.status_code >= 300:
            raise error_of(response, self._place.url)
        return response

    async def _token(self, refused: str | None = None) -> str | None:
        if self._place.token is not None or self._bearer is None:
            return self._place.token
        return await self._bearer(refused)

    async def _asked(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        with spoken_to(self._place.url):
            response = await self._open.request(method, path, content=body, headers=headers)
        self._spoken = True
        return response

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.aclose()


class UntrustedError(InvalidError):
    """The server's certificate is not trusted."""

    code = "server.untrusted"


def connection(
    place: Place, wait_s: float, headers: Mapping[str, str] | None = None
) -> httpx.AsyncClient:
    """Return a connection to a server."""
    return httpx.AsyncClient(
        base_url=place.url,
        headers=headers,
        verify=_trusting(place.ca),
        timeout=httpx.Timeout(wait_s, connect=CONNECT_S),
        follow_redirects=False,
    )


@contextmanager
def spoken_to(url: str) -> Iterator[None]:
    """Tell what goes wrong on the way to a server as an error of ours."""
    try:
        yield
    except httpx.ConnectError as error:
        if CERTIFICATE in str(error):
            raise UntrustedError(
                f"{url} shows a certificate that is not trusted",
                hint="SQUAD_CA=FILE names the authority it is from",
            ) from error
        raise UnavailableError(
            f"nothing answers at {url}", code="server.unreachable", hint="is squad up running?"
        ) from error
    except httpx.TimeoutException as error:
        raise UnavailableError(f"{url} does not answer", code="server.silent") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(
            f"{url} cannot be spoken to: {error}", code="server.broken"
        ) from error


def _shown(headers: Mapping[str, str], token: str | None) -> Mapping[str, str]:
    return headers if token is None else {**headers, "Authorization": f"Bearer {token}"}


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidError(
            f"SQUAD_CA: {ca} cannot be read as certificates",
            code="server.ca",
            hint="give a file in PEM",
        ) from error


def _read(response: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(response.content)
    except msgspec.DecodeError as error:
        raise ServerUnknownError(hint="SQUAD_SERVER=https://host:port") from error


def _answered(response: httpx.Response) -> Answer:
    value = _read(response)
    if response.headers.get("squad-files") != "1":
        return Answer(value=value)
    files = tuple(
        File(name=one["name"], data=base64.b64decode(one["base64"]), media_type=one["media_type"])
        for one in value["files"]
    )
    return Answer(value=value["output"], files=files)


def error_of(response: httpx.Response, url: str) -> SquadError:
    """Return the error that a server answered with, as it was raised there."""
    body = None
    if "json" in response.headers.get("content-type", ""):
        try:
            body = msgspec.json.decode(response.content)
        except msgspec.DecodeError:
            body = None
    if not isinstance(body, dict) or "code" not in body:
        if response.status_code in (502, 503, 504):
            return UnavailableError(f"{url} is not available", code="server.unavailable")
        return ServerUnknownError(
            f"{url} answers {response.status_code}, and not as a squad server does",
            hint="SQUAD_SERVER=https://host:port",
        )
    found = restore({**body, "message": body.get("detail")})
    if isinstance(found, BugError) and surface_of(found).http != response.status_code:
        return InvalidError(found.message, code=found.code, hint=found.hint, details=found.details)
    return found
