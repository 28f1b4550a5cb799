"""Signing in elsewhere: a browser goes to a provider and comes back with an
answer, or gives name and password for a directory.

What a provider is, and whether its answer counts, is identity's; here are
redirects, forms and the cookie that binds the way back to this browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from agentsquad.kernel.errors import (
    DeniedError,
    InvalidError,
    LimitError,
    SquadError,
    UnauthenticatedError,
    UnavailableError,
)
from agentsquad.surfaces.rest import sign_in_page as pages
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.auth import (
    NEVER,
    as_json,
    form_of,
    gone_to,
    here,
    once,
    origin_of,
    same_site,
    screened,
    shown_page,
    told,
    visit_of,
)
from agentsquad.surfaces.rest.contract import status_of
from agentsquad.surfaces.rest.endpoint import Handler
from agentsquad.trust.identity.contract import Progress
from agentsquad.trust.identity.office import Desk

COOKIES = ("__Host-squad-leaving", "squad-leaving")  # with TLS, and without
LIFETIME_S = 600
KEPT_OUT = (UnauthenticatedError, LimitError, DeniedError, InvalidError, UnavailableError)
MARK = "~"  # between identity's text and where to go on
Go = Callable[[Asked, Progress, str], Awaitable[Response]]


class SigningInElsewhere:
    """The handlers of providers; `go_on` answers with what a sign-in has
    become."""

    def __init__(self, desk: Callable[[], Desk], go_on: Go) -> None:
        self._desk = desk
        self._go_on = go_on

    def addresses(self) -> dict[str, dict[str, Handler]]:
        """Return what is where."""
        base = "/auth/providers"
        return {
            base: {"GET": self.listed},
            base + "/{name}": {"GET": self.left, "POST": self.typed},
            base + "/{name}/callback": {"GET": self.returned, "POST": self.posted},
            base + "/{name}/metadata": {"GET": self.metadata},
        }

    async def listed(self, asked: Asked) -> Response:
        """List the providers there are."""
        await screened(asked)
        found = await self._desk().providers.listed()
        return told(
            {"items": [{"name": one.name, "label": one.label or one.name,
                        "protocol": one.protocol} for one in found]}
        )  # fmt: skip

    async def left(self, asked: Asked) -> Response:
        """Send the browser to a provider, or show the form of a directory."""
        await screened(asked)
        name, place = asked.path["name"], here(asked.request.query_params.get("next", "/login"))
        provider = await self._desk().providers.find(name)
        if provider.protocol == "ldap":
            action = f"/auth/providers/{quote(name, safe='')}"
            return shown_page(pages.password_form(place, "", action=action))
        try:
            leaving = await self._desk().providers.leave(name, self._callback(asked, name))
        except UnavailableError as error:
            return _refused(asked, error, pages.password_form(place, _words(error)))
        response = gone_to(leaving.location)
        secure = asked.request.scope.get("scheme") == "https"
        posted = provider.protocol == "saml"  # its answer is posted by another site
        response.set_cookie(
            _cookie(asked.request),
            leaving.cookie + MARK + quote(place, safe=""),
            max_age=LIFETIME_S,
            path="/",
            secure=secure or posted,
            httponly=True,
            samesite="none" if posted else "lax",
        )
        return response

    async def typed(self, asked: Asked) -> Response:
        """Take name and password for a directory."""
        same_site(asked.request)
        await screened(asked)
        form, name = form_of(asked), asked.path["name"]
        place, visit = here(form.get("next", "/login")), visit_of(asked.request)
        try:
            progress = await self._desk().providers.password(
                name, form.get("name", ""), form.get("password", ""), visit
            )
        except KEPT_OUT as error:
            action = f"/auth/providers/{quote(name, safe='')}"
            return _refused(asked, error, pages.password_form(place, _words(error), action=action))
        return await self._go_on(asked, progress, place)

    async def returned(self, asked: Asked) -> Response:
        """Take what a provider sent the browser back with."""
        return await self._arrived(asked, once(asked.request.query_params.multi_items()))

    async def posted(self, asked: Asked) -> Response:
        """Take what a provider's page had the browser post (SAML)."""
        return await self._arrived(asked, form_of(asked))

    async def _arrived(self, asked: Asked, answer: dict[str, str]) -> Response:
        await screened(asked)
        kept = asked.request.cookies.get(_cookie(asked.request), "")
        cookie, _, place = kept.partition(MARK)
        try:
            progress = await self._desk().providers.arrive(
                asked.path["name"], cookie, answer, visit_of(asked.request)
            )
        except KEPT_OUT as error:
            return _refused(asked, error, pages.password_form("/login", _words(error)))
        response = await self._go_on(asked, progress, here(unquote(place) or "/login"))
        response.delete_cookie(_cookie(asked.request), path="/")
        return response

    async def metadata(self, asked: Asked) -> Response:
        """Give what a SAML provider must know of us."""
        await screened(asked)
        name = asked.path["name"]
        text = await self._desk().providers.metadata(name, self._callback(asked, name))
        return Response(
            text, 200, dict(NEVER), media_type="application/samlmetadata+xml; charset=utf-8"
        )

    def _callback(self, asked: Asked, name: str) -> str:
        """Return where a provider sends browsers back to: at the address that
        the server is said to have, which a proxy before it may hide."""
        base = self._desk().instruments.issuer or origin_of(asked.request)
        return f"{base.rstrip('/')}/auth/providers/{quote(name, safe='')}/callback"


def _cookie(request: Request) -> str:
    return COOKIES[0] if request.scope.get("scheme") == "https" else COOKIES[1]


def _refused(asked: Asked, error: SquadError, text: str) -> Response:
    if as_json(asked.request):
        raise error
    response = shown_page(text, status_of(error))
    if error.retry_after_ms is not None:
        response.headers["Retry-After"] = str(max(1, -(-error.retry_after_ms // 1000)))
    return response


def _words(error: SquadError) -> str:
    return f"{error.message} {error.hint or ''}".strip()
