"""OAuth over HTTP: forms and redirects around what identity decides.

Errors have the form of RFC 6749; everything else that goes wrong is a problem
as everywhere. Nothing here is ever kept or compressed.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

import msgspec
from starlette.responses import Response

from agentsquad.kernel.errors import SquadError, UnauthenticatedError
from agentsquad.surfaces.gateway import http
from agentsquad.surfaces.rest import sign_in_page as pages
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.auth import (
    POLICY,
    basic_of,
    form_of,
    gone_to,
    once,
    origin_of,
    same_site,
    screened,
    session_of,
    shown_page,
    signed_in,
    told,
)
from agentsquad.surfaces.rest.endpoint import Handler
from agentsquad.trust.identity.contract import DeviceLimitError, OAuthError, TicketError
from agentsquad.trust.identity.credential import csrf_of
from agentsquad.trust.identity.oauth import OAuth, RedirectError, client_named, shown_as
from agentsquad.trust.identity.office import Desk

AUTHORIZE, ACTIVATE = "/auth/authorize", "/auth/activate"
ASKED = (
    "response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge",
    "code_challenge_method",
)  # fmt: skip


class OAuthEndpoints:
    """The handlers of tokens."""

    def __init__(self, desk: Callable[[], Desk]) -> None:
        self._desk = desk

    @property
    def _oauth(self) -> OAuth:
        return self._desk().oauth

    def addresses(self) -> dict[str, dict[str, Handler]]:
        """Return what is where."""
        return {
            "/.well-known/oauth-authorization-server": {"GET": self.metadata},
            "/.well-known/jwks.json": {"GET": self.keys},
            "/auth/token": {"POST": self.token},
            "/auth/revoke": {"POST": self.revoke},
            "/auth/introspect": {"POST": self.introspect},
            "/auth/device": {"POST": self.device},
            AUTHORIZE: {"GET": self.authorize, "POST": self.answered},
            ACTIVATE: {"GET": self.activate, "POST": self.activated},
        }

    async def metadata(self, asked: Asked) -> Response:
        """Say what this server can (RFC 8414)."""
        await screened(asked)
        response = told(self._oauth.metadata(origin_of(asked.request)))
        response.headers["Cache-Control"] = "public, max-age=300"
        return response

    async def keys(self, asked: Asked) -> Response:
        """Give the keys that tokens are verified by."""
        await screened(asked)
        response = told(await self._desk().tokens.jwks())
        response.headers["Cache-Control"] = "public, max-age=300"
        return response

    async def token(self, asked: Asked) -> Response:
        """Give tokens."""
        await screened(asked)
        try:
            found = await self._oauth.token(form_of(asked), basic_of(asked.request))
        except OAuthError as error:
            return _wrong(error)
        return told({k: v for k, v in msgspec.structs.asdict(found).items() if v is not None})

    async def device(self, asked: Asked) -> Response:
        """Begin for a device without a browser (RFC 8628)."""
        await screened(asked)
        try:
            address = http.address_of(asked.request)
            begun = await self._oauth.device(form_of(asked), origin_of(asked.request), address)
            return told(begun)
        except OAuthError as error:
            return _wrong(error)

    async def revoke(self, asked: Asked) -> Response:
        """Let a token count no more (RFC 7009)."""
        await screened(asked)
        try:
            await self._oauth.revoke(form_of(asked), basic_of(asked.request))
        except OAuthError as error:
            return _wrong(error)
        return told({})

    async def introspect(self, asked: Asked) -> Response:
        """Say what a token is (RFC 7662), to somebody who is recognised."""
        await asked.caller()
        return told(await self._desk().tokens.introspect(form_of(asked).get("token", "")))

    async def authorize(self, asked: Asked) -> Response:
        """Ask a person whether a program may act as them."""
        await screened(asked)
        query = once(asked.request.query_params.multi_items())
        try:
            wanted = await self._oauth.check(query)
        except RedirectError as error:
            return gone_to(error.location)
        except OAuthError as error:
            return shown_page(pages.told_page("That cannot be allowed", error.message), 400)
        try:
            caller = await signed_in(asked)
        except UnauthenticatedError:
            return _to_login(asked)
        fields = {name: query[name] for name in ASKED if name in query}
        fields["csrf"] = csrf_of(session_of(asked.request) or "")
        who = str(caller.principal.actor)
        text = pages.consent_page(AUTHORIZE, wanted.label, wanted.scopes, who, fields)
        target = urlsplit(wanted.redirect)
        # Browsers hold the redirect that follows a form against this too.
        policy = POLICY.replace(
            "form-action 'self'", f"form-action 'self' {target.scheme}://{target.netloc}"
        )
        return shown_page(text, policy=policy)

    async def answered(self, asked: Asked) -> Response:
        """Take the answer, and send the browser back to the program."""
        same_site(asked.request)
        form = form_of(asked)
        caller = await signed_in(asked, form.get("csrf"))
        try:
            wanted = await self._oauth.check(form)
        except RedirectError as error:
            return gone_to(error.location)
        except OAuthError as error:
            return shown_page(pages.told_page("That cannot be allowed", error.message), 400)
        if form.get("answer") != "allow":
            return gone_to(self._oauth.deny(wanted))
        return gone_to(await self._oauth.allow(wanted, caller.principal))

    async def activate(self, asked: Asked) -> Response:
        """Ask for the code of a device, then whether it may act as somebody."""
        await screened(asked)
        try:
            caller = await signed_in(asked)
        except UnauthenticatedError:
            return _to_login(asked)
        code = asked.request.query_params.get("user_code", "")
        if not code:
            return shown_page(pages.code_page(""))
        who = str(caller.principal.actor)
        try:
            waiting = await self._oauth.waiting(code, who)
        except (TicketError, DeviceLimitError) as error:
            return _mistyped(error, code)
        fields = {"user_code": shown_as(code), "csrf": csrf_of(session_of(asked.request) or "")}
        client = client_named(self._desk().directory.state, waiting.client)
        what = (client and client.label) or waiting.client
        return shown_page(
            pages.device_page(ACTIVATE, (what, waiting.address), waiting.scopes, who, fields)
        )

    async def activated(self, asked: Asked) -> Response:
        """Take the answer for a device."""
        same_site(asked.request)
        form = form_of(asked)
        caller = await signed_in(asked, form.get("csrf"))
        allow = form.get("answer") == "allow"
        try:
            await self._oauth.activate(form.get("user_code", ""), caller.principal, allow=allow)
        except (TicketError, DeviceLimitError) as error:
            return _mistyped(error)
        said = "The device is connected; go back to it." if allow else "The device was refused."
        return shown_page(pages.told_page("Done", said))


def _wrong(error: OAuthError) -> Response:
    response = told(error.body(), 401 if error.error == "invalid_client" else 400)
    if error.error == "invalid_client":
        response.headers["WWW-Authenticate"] = 'Basic realm="squad"'
    return response


def _mistyped(error: SquadError, code: str = "") -> Response:
    if isinstance(error, TicketError):
        return shown_page(pages.code_page(f"{error.message}; {error.hint}", code), 404)
    response = shown_page(pages.told_page("Too many wrong codes", "Try again later."), 429)
    response.headers["Retry-After"] = str(-(-(error.retry_after_ms or 1000) // 1000))
    return response


def _to_login(asked: Asked) -> Response:
    url = asked.request.url
    place = url.path + (f"?{url.query}" if url.query else "")
    return gone_to("/login?next=" + quote(place, safe="/"))
