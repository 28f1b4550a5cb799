"""Signing in at a server from the command line, and staying signed in.

A person confirms in a browser, on any machine, what is shown here (RFC 8628).
What comes of it is a token for ten minutes and one that is exchanged for the
next. That one is good once, and shown twice it ends the login; so processes
exchange it one after the other, and take what another one got.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import TypeVar

import httpx
import msgspec

from agentsquad.kernel.errors import UnavailableError
from agentsquad.surfaces.rest.adapters.client import connection, error_of, spoken_to
from agentsquad.surfaces.rest.adapters.logins import FileLogins
from agentsquad.surfaces.rest.contract import (
    Login,
    LoginEndedError,
    LoginRefusedError,
    Place,
    ServerUnknownError,
    Waiting,
)

CLIENT = "squad-cli"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
WAIT_S = 30.0
EARLY_MS = 60_000  # renewed while it is still good, so that no call meets its end
SLOWER_S = 5
SILENT_MAX = 10  # times in a row that the server may not answer a question
T = TypeVar("T")
BEGIN_ANEW = "squad login {url}"


class _Begun(msgspec.Struct, kw_only=True):
    device_code: str
    user_code: str
    verification_uri: str
    expires_in: int
    interval: int = 5
    verification_uri_complete: str | None = None


class _Tokens(msgspec.Struct, kw_only=True):
    access_token: str
    refresh_token: str
    expires_in: int


class _Wrong(msgspec.Struct, kw_only=True):
    error: str
    error_description: str = ""


class SigningIn:
    """Speaks to the authorization server of one place."""

    def __init__(
        self, place: Place, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._place = place
        self._pause = pause

    async def connect(self, scopes: tuple[str, ...], show: Callable[[Waiting], None]) -> Login:
        """Have a person confirm what `show` is told, and wait for it."""
        async with connection(self._place, WAIT_S) as http:
            form = {"client_id": CLIENT, **({"scope": " ".join(scopes)} if scopes else {})}
            begun = _as(await self._sent(http, "/auth/device", form), _Begun, self._place.url)
            show(
                Waiting(
                    address=begun.verification_uri_complete or begun.verification_uri,
                    code=begun.user_code,
                    minutes=begun.expires_in // 60,
                )
            )
            return await self._waited(http, begun)

    async def _waited(self, http: httpx.AsyncClient, begun: _Begun) -> Login:
        form = {
            "grant_type": DEVICE_GRANT,
            "client_id": CLIENT,
            "device_code": begun.device_code,
        }
        interval, waited, silent = max(1, begun.interval), 0, 0
        while waited < begun.expires_in:
            await self._pause(interval)
            waited += interval
            try:
                answer = await self._sent(http, "/auth/token", form)
            except UnavailableError:
                silent += 1
                if silent >= SILENT_MAX:
                    raise
                continue
            silent = 0
            if not isinstance(answer, _Wrong):
                return _login(_as(answer, _Tokens, self._place.url))
            if answer.error == "slow_down":
                interval += SLOWER_S
            elif answer.error == "access_denied":
                raise LoginRefusedError("it was refused in the browser")
            elif answer.error != "authorization_pending":
                break
        raise LoginRefusedError(
            "nobody confirmed in time", hint=BEGIN_ANEW.format(url=self._place.url)
        )

    async def renew(self, login: Login) -> Login:
        """Exchange a login for the next; LoginEndedError where it counts no
        more."""
        form = {
            "grant_type": "refresh_token",
            "client_id": CLIENT,
            "refresh_token": login.refresh,
        }
        async with connection(self._place, WAIT_S) as http:
            answer = await self._sent(http, "/auth/token", form)
        if isinstance(answer, _Wrong):
            raise LoginEndedError(
                f"the login at {self._place.url} has ended",
                hint=BEGIN_ANEW.format(url=self._place.url),
            )
        return _login(_as(answer, _Tokens, self._place.url))

    async def end(self, login: Login) -> None:
        """Let a login count no more."""
        async with connection(self._place, WAIT_S) as http:
            form = {"token": login.refresh, "client_id": CLIENT}
            await self._sent(http, "/auth/revoke", form)

    async def _sent(
        self, http: httpx.AsyncClient, path: str, form: Mapping[str, str]
    ) -> bytes | _Wrong:
        with spoken_to(self._place.url):
            response = await http.post(path, data=dict(form))
        if response.status_code < 300:
            return response.content
        if response.status_code in (400, 401):
            try:
                return msgspec.json.decode(response.content, type=_Wrong)
            except msgspec.MsgspecError:
                pass
        raise error_of(response, self._place.url)


class Renewal:
    """The token of a login that is kept, renewed when its time comes."""

    def __init__(self, place: Place, logins: FileLogins) -> None:
        self._url = place.url
        self._logins = logins
        self._signing = SigningIn(place)

    async def token(self, refused: str | None = None) -> str | None:
        """Return the token to show, another one than was `refused` if that can
        be."""
        kept = self._logins.kept(self._url)
        if not isinstance(kept, Login) or _good(kept, refused):
            return kept.access if isinstance(kept, Login) else kept
        with ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, self._logins.alone())
            kept = self._logins.kept(self._url)
            if isinstance(kept, Login) and not _good(kept, refused):
                kept = await self._signing.renew(kept)
                self._logins.put(self._url, kept)
            return kept.access if isinstance(kept, Login) else kept


def _good(login: Login, refused: str | None) -> bool:
    return login.access != refused and login.until_ms - _now_ms() > EARLY_MS


def _now_ms() -> int:
    return int(time.time() * 1000)


def _login(tokens: _Tokens) -> Login:
    return Login(
        access=tokens.access_token,
        refresh=tokens.refresh_token,
        until_ms=_now_ms() + tokens.expires_in * 1000,
    )


def _as(answer: bytes | _Wrong, kind: type[T], url: str) -> T:
    if isinstance(answer, _Wrong):
        raise LoginRefusedError(
            f"{url} does not let this machine begin: {answer.error_description or answer.error}"
        )
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError:
        raise ServerUnknownError(f"{url} does not sign in as a squad server does") from None
