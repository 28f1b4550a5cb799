"""One's own account in a browser: password, second factors, recovery codes,
sessions.

What programs may do is actions; these are pages for people, so each answers
with HTML, works without a script but for security keys, and takes nothing that
another site's page sent. What concerns how somebody signs in asks for the
password first, whatever address it is sent to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.responses import Response

from agentsquad.kernel.errors import InvalidError, LimitError, SquadError, UnauthenticatedError
from agentsquad.surfaces.rest import account_page as pages
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.auth import (
    form_of,
    gone_to,
    same_site,
    session_of,
    shown_page,
    signed_in,
    take_cookie,
    visit_of,
)
from agentsquad.surfaces.rest.contract import BodyError, status_of
from agentsquad.surfaces.rest.endpoint import Handler
from agentsquad.trust.identity.contract import CredentialMissingError, Party
from agentsquad.trust.identity.credential import csrf_of
from agentsquad.trust.identity.factors import Ready
from agentsquad.trust.identity.office import Desk
from agentsquad.trust.identity.own_account import Own

HOME = "/account"
OTHERS = "others"
LABEL_MAX = 60
Form = dict[str, str]
Told = (InvalidError, UnauthenticatedError, LimitError, CredentialMissingError)
Act = Callable[[Asked, Own, Form], Awaitable[Response]]
WHY = {
    "/account/app": "Before an authenticator app is added.",
    "/account/key": "Before a security key is added.",
    "/account/factors/remove": "Before a second factor is removed.",
    "/account/codes": "Before new recovery codes take the place of those there are.",
    "/account/sessions/end": "Before another browser is signed out.",
}


class AccountPages:
    """The handlers of one's own account."""

    def __init__(self, desk: Callable[[], Desk]) -> None:
        self._desk = desk

    def addresses(self) -> dict[str, dict[str, Handler]]:
        """Return what is where."""
        return {
            HOME: {"GET": self.shown},
            "/account/password": {"POST": self._posted(self._password)},
            "/account/app": {"POST": self._posted(self._app, again=True)},
            "/account/app/confirm": {"POST": self._posted(self._app_confirmed)},
            "/account/key": {"POST": self._posted(self._key, again=True)},
            "/account/key/confirm": {"POST": self._posted(self._key_confirmed)},
            "/account/factors/remove": {"POST": self._posted(self._removed, again=True)},
            "/account/codes": {"POST": self._posted(self._codes, again=True)},
            "/account/sessions/end": {"POST": self._posted(self._ended, again=True)},
            "/account/programs/end": {"POST": self._posted(self._program_ended)},
        }

    async def shown(self, asked: Asked) -> Response:
        """Show the account of who is signed in; others sign in first."""
        try:
            await signed_in(asked)
            own = await self._desk().own.look(session_of(asked.request) or "")
        except UnauthenticatedError:
            return gone_to(f"/login?next={HOME}")
        return await self._page(asked, own)

    async def _page(self, asked: Asked, own: Own, error: SquadError | None = None) -> Response:
        sessions = await self._desk().sessions.listed(own.account.actor)
        message = "" if error is None else _words(error)
        programs = await self._desk().tokens.families(own.account.actor)
        text = pages.account_page(own, sessions, programs, _csrf(asked), message)
        return shown_page(text, 200 if error is None else status_of(error))

    # --- what is sent

    def _posted(self, act: Act, *, again: bool = False) -> Handler:
        """Return what takes a form of these pages: from this site, with the
        token of the session, and where needed with the password."""

        async def take(asked: Asked) -> Response:
            same_site(asked.request)
            form = form_of(asked)
            await signed_in(asked, form.get("csrf", ""))
            own = await self._desk().own.look(session_of(asked.request) or "")
            if again:
                question = await self._asked_again(asked, own, form)
                if question is not None:
                    return question
            try:
                return await act(asked, own, form)
            except Told as error:
                return await self._page(asked, own, error)

        return take

    async def _asked_again(self, asked: Asked, own: Own, form: Form) -> Response | None:
        """Return the question for the password; None once it is answered."""
        place = asked.request.url.path
        if own.password and "current" not in form:
            return shown_page(pages.again_page(place, WHY[place], form))
        try:
            await self._desk().own.again(own, form.get("current", ""), visit_of(asked.request))
        except (UnauthenticatedError, LimitError) as error:
            if not own.password:
                return await self._page(asked, own, error)
            text = pages.again_page(place, WHY[place], form, _words(error))
            return shown_page(text, status_of(error))
        return None

    async def _password(self, asked: Asked, own: Own, form: Form) -> Response:
        new = form.get("password", "")
        if new != form.get("repeated", ""):
            raise BodyError("the new password and its repetition differ", hint="type both again")
        await self._desk().sign_in.change_password(
            own.account.actor, form.get("current", ""), new, visit_of(asked.request)
        )
        response = shown_page(pages.changed_page())
        take_cookie(asked.request, response)
        return response

    async def _app(self, asked: Asked, own: Own, form: Form) -> Response:
        actor = own.account.actor
        made = await self._desk().factors.enrol_totp(actor, actor, _label(form))
        fields = {"factor": made.factor, "secret": made.secret, "uri": made.uri}
        return shown_page(pages.app_page(fields, _csrf(asked)))

    async def _app_confirmed(self, asked: Asked, own: Own, form: Form) -> Response:
        actor, code = own.account.actor, form.get("code", "").replace(" ", "")
        factor = form.get("factor", "")
        try:
            ready = await self._desk().factors.confirm_totp(actor, factor, code, actor)
        except InvalidError as error:
            if not form.get("secret"):
                raise
            text = pages.app_page(form, _csrf(asked), _words(error))
            return shown_page(text, status_of(error))
        return _ready(ready)

    async def _key(self, asked: Asked, own: Own, form: Form) -> Response:
        made = await self._desk().factors.enrol_key(own.account.actor, _party(asked))
        return shown_page(pages.key_page(made, _label(form), _csrf(asked)))

    async def _key_confirmed(self, asked: Asked, own: Own, form: Form) -> Response:
        ticket, actor = form.get("ticket", ""), own.account.actor
        self._desk().own.check_ticket(own, ticket)
        try:
            answer = msgspec.json.decode(form.get("value", ""), type=dict[str, object])
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise BodyError("the security key gave no answer", hint="try again") from None
        ready = await self._desk().factors.confirm_key(
            ticket, answer, _party(asked), actor, _label(form)
        )
        return _ready(ready)

    async def _removed(self, asked: Asked, own: Own, form: Form) -> Response:
        actor = own.account.actor
        await self._desk().factors.remove(actor, form.get("factor", ""), actor)
        return gone_to(HOME)

    async def _codes(self, asked: Asked, own: Own, form: Form) -> Response:
        actor = own.account.actor
        return shown_page(pages.codes_page(await self._desk().factors.renew_codes(actor, actor)))

    async def _ended(self, asked: Asked, own: Own, form: Form) -> Response:
        sessions, actor = self._desk().sessions, own.account.actor
        name = form.get("session", "")
        if name == OTHERS:
            await sessions.revoke_all(actor, actor, but=own.session.id)
        else:
            await sessions.revoke(name, actor, owner=actor)
        return gone_to(HOME)

    async def _program_ended(self, asked: Asked, own: Own, form: Form) -> Response:
        tokens, actor = self._desk().tokens, own.account.actor
        mine = {one.id for one in await tokens.families(actor)}
        if form.get("program", "") not in mine:
            raise CredentialMissingError("you have let no program with that id act as you")
        await tokens.revoke_family(form["program"], actor)
        return gone_to(HOME)


def _ready(ready: Ready) -> Response:
    return (
        shown_page(pages.codes_page(ready.recovery_codes))
        if ready.recovery_codes
        else (gone_to(HOME))
    )


def _party(asked: Asked) -> Party:
    party = visit_of(asked.request).party
    assert party is not None, "a visit by a browser has one"
    return party


def _csrf(asked: Asked) -> str:
    return csrf_of(session_of(asked.request) or "")


def _label(form: Form) -> str:
    return form.get("label", "").strip()[:LABEL_MAX]


def _words(error: SquadError) -> str:
    return f"{error.message} {error.hint or ''}".strip()
