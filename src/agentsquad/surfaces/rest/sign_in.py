"""Signing in by a browser: name and password, a second factor, a session.

The same addresses answer forms with pages and JSON with JSON, so that a console
of its own look needs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.responses import Response

from agentsquad.kernel.errors import LimitError, SquadError, UnauthenticatedError
from agentsquad.surfaces.rest import sign_in_page as pages
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.auth import (
    as_json,
    form_of,
    give_cookie,
    gone_to,
    here,
    same_site,
    screened,
    session_of,
    shown_page,
    signed_in,
    take_cookie,
    told,
    visit_of,
)
from agentsquad.surfaces.rest.contract import BodyError, status_of
from agentsquad.surfaces.rest.endpoint import Handler
from agentsquad.trust.identity.contract import Progress
from agentsquad.trust.identity.credential import csrf_of
from agentsquad.trust.identity.office import Desk

AFTER = "/login"


class SigningIn:
    """The handlers of signing in and out."""

    def __init__(self, desk: Callable[[], Desk]) -> None:
        self._desk = desk

    def addresses(self) -> dict[str, dict[str, Handler]]:
        """Return what is where."""
        return {
            "/login": {"GET": self.shown, "POST": self.begun},
            "/login/verify": {"POST": self.verified},
            "/login/options": {"POST": self.options},
            "/logout": {"POST": self.left},
            "/auth/session": {"GET": self.session},
        }

    async def shown(self, asked: Asked) -> Response:
        """Show the form, or who is signed in."""
        await screened(asked)
        place = here(asked.request.query_params.get("next", AFTER))
        value = session_of(asked.request)
        if value is not None and place == AFTER:
            try:
                caller = await signed_in(asked)
            except UnauthenticatedError:
                pass
            else:
                return shown_page(pages.done_page(str(caller.principal.actor), csrf_of(value)))
        return shown_page(await self._form(place, ""))

    async def _form(self, place: str, message: str) -> str:
        known = await self._desk().providers.listed()
        providers = [(one.name, one.label or one.name) for one in known]
        return pages.password_form(place, message, providers)

    async def begun(self, asked: Asked) -> Response:
        """Take name and password."""
        same_site(asked.request)
        await screened(asked)
        form = form_of(asked)
        place = here(form.get("next", AFTER))
        try:
            progress = await self._desk().sign_in.begin(
                form.get("name", ""), form.get("password", ""), visit_of(asked.request)
            )
        except (UnauthenticatedError, LimitError) as error:
            return self._refused(asked, error, await self._form(place, _words(error)))
        return await self.gone_on(asked, progress, place)

    async def verified(self, asked: Asked) -> Response:
        """Take the second factor."""
        same_site(asked.request)
        await screened(asked)
        form = form_of(asked)
        place, ticket = here(form.get("next", AFTER)), form.get("ticket", "")
        method, value = form.get("method", ""), form.get("value", "")
        answer = _answer(value) if method == "webauthn" else value
        try:
            progress = await self._desk().sign_in.verify(
                ticket, method, answer, visit_of(asked.request)
            )
        except (UnauthenticatedError, LimitError) as error:
            again = error.code == "identity.sign_in" and method in pages.METHODS
            text = (
                pages.factor_form(ticket, (method,), place, _words(error))
                if again
                else await self._form(place, _words(error))
            )
            return self._refused(asked, error, text)
        return await self.gone_on(asked, progress, place)

    async def options(self, asked: Asked) -> Response:
        """Return what a browser needs to use a security key."""
        same_site(asked.request)
        await screened(asked)
        ticket = form_of(asked).get("ticket", "")
        return told(dict(await self._desk().sign_in.options(ticket, visit_of(asked.request))))

    async def left(self, asked: Asked) -> Response:
        """End the session."""
        same_site(asked.request)
        form = form_of(asked) if asked.body else {}
        caller = await signed_in(asked, form.get("csrf"))
        await self._desk().sign_in.end(session_of(asked.request) or "", str(caller.principal.actor))
        json = as_json(asked.request)
        response = told({"ended": True}) if json else shown_page(pages.left_page())
        take_cookie(asked.request, response)
        return response

    async def session(self, asked: Asked) -> Response:
        """Say who is signed in, with the token that its pages send along."""
        same_site(asked.request)
        caller = await signed_in(asked)
        principal = caller.principal
        return told(
            {
                "actor": str(principal.actor),
                "method": principal.method,
                "expires_ms": principal.expires_ms,
                "csrf": csrf_of(session_of(asked.request) or ""),
            }
        )

    async def gone_on(self, asked: Asked, progress: Progress, place: str) -> Response:
        """Answer with a session, or with the next step."""
        session, json = progress.session, as_json(asked.request)
        if session is None:
            if json:
                return told({"wants": list(progress.wants), "ticket": progress.ticket})
            form = pages.factor_form(progress.ticket or "", progress.wants, place, "")
            return shown_page(form)
        if json:
            response = told(
                {
                    "account": session.account,
                    "csrf": session.csrf,
                    "expires_ms": session.expires_ms,
                }
            )
        else:
            response = gone_to(place)
        give_cookie(asked.request, response, session.value)
        return response

    def _refused(self, asked: Asked, error: SquadError, text: str) -> Response:
        if as_json(asked.request):
            raise error
        response = shown_page(text, status_of(error))
        if error.retry_after_ms is not None:
            response.headers["Retry-After"] = str(max(1, -(-error.retry_after_ms // 1000)))
        return response


def _words(error: SquadError) -> str:
    return f"{error.message} {error.hint or ''}".strip()


def _answer(text: str) -> object:
    try:
        found: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise BodyError("value is not what a security key answers") from None
    return found
