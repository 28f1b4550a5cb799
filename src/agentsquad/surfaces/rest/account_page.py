"""Pages of one's own account, as HTML that works without a script; a script is
only needed to set up security keys.

Everything that comes from outside passes `escape`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import msgspec

from agentsquad.kernel.ids import rfc3339
from agentsquad.surfaces.rest.sign_in_page import hidden, told
from agentsquad.trust.identity.account import Account, Factor
from agentsquad.trust.identity.credential import Session, session_until
from agentsquad.trust.identity.factors import Enrolment
from agentsquad.trust.identity.issued import Family
from agentsquad.trust.identity.own_account import Own

METHODS = {"totp": "Authenticator app", "webauthn": "Security key"}
BACK = '<p><a href="/account">Back to your account</a> · <a href="/login">Sign out</a></p>'


def page(title: str, body: str, *, script: bool = False) -> str:
    """Return a whole page."""
    run = '<script src="/account/account.js" defer></script>' if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} – Agent Squad</title>"
        '<link rel="stylesheet" href="/login/sign-in.css">'
        f'<link rel="stylesheet" href="/account/account.css">{run}</head>'
        f'<body><main class="account"><h1>{escape(title)}</h1>{body}</main></body></html>'
    )


def account_page(
    own: Own,
    sessions: Sequence[Session],
    programs: Sequence[Family],
    csrf: str,
    message: str = "",
) -> str:
    """Return everything about one's own account."""
    account, safe = own.account, hidden({"csrf": csrf})
    name = f" ({escape(account.display)})" if account.display else ""
    return page(
        "Your account",
        f"<p>You are <strong>{escape(account.actor)}</strong>{name}.</p>{told(message)}"
        + _password(own, safe)
        + _factors(account, safe)
        + _sessions(own, sessions, safe)
        + _programs(programs, safe)
        + f'<form method="post" action="/logout">{safe}'
        '<button type="submit" class="second">Sign out</button></form>',
    )


def _password(own: Own, safe: str) -> str:
    if not own.password:
        where = escape(own.account.source.partition("/")[0])
        text = "nowhere: you have no password" if where == "local" else f"at <b>{where}</b>"
        return _section("password", "Password", f"<p>You sign in {text}.</p>")
    return _section(
        "password",
        "Password",
        f'<form method="post" action="/account/password">{safe}'
        + _typed("current", "Password now", "current-password")
        + _typed("password", "New password", "new-password", "password-rule")
        + '<p id="password-rule" class="soft">At least 12 characters; four or five words that do '
        "not belong together are good.</p>"
        + _typed("repeated", "New password, once more", "new-password")
        + '<p class="soft">All your sessions and tokens end; you sign in again.</p>'
        '<button type="submit">Change the password</button></form>',
    )


def _factors(account: Account, safe: str) -> str:
    ready = [one for one in account.factors.values() if one.confirmed]
    items = "".join(_factor(one, safe) for one in ready)
    none = '<p class="soft">None is set up: a password is all it takes to be you.</p>'
    return _section(
        "factors",
        "Second factors",
        (f"<ul>{items}</ul>" if items else none)
        + _adding("app", "app-label", "Add an authenticator app", "phone", safe)
        + _adding("key", "key-label", "Add a security key or passkey", "blue key", safe)
        + (_codes(account, safe) if ready else ""),
    )


def _factor(one: Factor, safe: str) -> str:
    label = escape(one.label or METHODS.get(one.method, one.method))
    method = escape(METHODS.get(one.method, one.method))
    return (
        f"<li><div><b>{label}</b><br><span>{method}, since {_day(one.added_ms)}</span></div>"
        f'<form method="post" action="/account/factors/remove">{safe}'
        f'{hidden({"factor": one.id})}<button type="submit" class="second" '
        f'aria-label="Remove {label}">Remove</button></form></li>'
    )


def _adding(what: str, field: str, text: str, example: str, safe: str) -> str:
    return (
        f'<form method="post" action="/account/{what}">{safe}<label for="{field}">{text}</label>'
        f'<div class="row"><input id="{field}" name="label" maxlength="60" autocomplete="off" '
        f'placeholder="e.g. {example}"><button type="submit">Add</button></div></form>'
    )


def _codes(account: Account, safe: str) -> str:
    left = len(account.codes)
    return (
        f'<form method="post" action="/account/codes">{safe}<p><b>{left}</b> recovery '
        f"code{'' if left == 1 else 's'} left, each good once in place of a second factor.</p>"
        '<button type="submit" class="second">Make new recovery codes</button></form>'
    )


def _sessions(own: Own, sessions: Sequence[Session], safe: str) -> str:
    items = "".join(_session(one, one.id == own.session.id, safe) for one in sessions)
    others = (
        f'<form method="post" action="/account/sessions/end">{safe}'
        '<button type="submit" name="session" value="others" class="second">'
        "End all the others</button></form>"
        if len(sessions) > 1
        else ""
    )
    return _section("sessions", "Where you are signed in", f"<ul>{items}</ul>{others}")


def _session(one: Session, this: bool, safe: str) -> str:
    agent, address = escape(one.agent or "Unknown browser"), escape(one.address)
    end = (
        "<strong>this one</strong>"
        if this
        else f'<form method="post" action="/account/sessions/end">{safe}'
        f'<button type="submit" name="session" value="{escape(one.id)}" class="second" '
        f'aria-label="End the session from {address}">End</button></form>'
    )
    return (
        f"<li><div><b>{agent}</b><br><span>{address}, by {escape(one.method)}, "
        f"{_day(one.begun_ms)} to {_day(session_until(one))}</span></div>{end}</li>"
    )


def _programs(programs: Sequence[Family], safe: str) -> str:
    items = "".join(_program(one, safe) for one in programs)
    none = '<p class="soft">None: nothing acts as you but you.</p>'
    return _section("programs", "Programs that act as you", f"<ul>{items}</ul>" if items else none)


def _program(one: Family, safe: str) -> str:
    client, scopes = escape(one.client), escape(" ".join(one.scopes) or "everything you may")
    return (
        f"<li><div><b>{client}</b><br><span>{scopes}, "
        f"{_day(one.begun_ms)} to {_day(one.expires_ms)}</span></div>"
        f'<form method="post" action="/account/programs/end">{safe}'
        f'<button type="submit" name="program" value="{escape(one.id)}" class="second" '
        f'aria-label="End what {client} may">End</button></form></li>'
    )


def again_page(action: str, what: str, fields: Mapping[str, str], message: str = "") -> str:
    """Return the question for the password, before what concerns how somebody
    signs in."""
    kept = hidden({name: value for name, value in fields.items() if name != "current"})
    return page(
        "Show that it is you",
        f"<p>{escape(what)}</p>{told(message)}"
        f'<form method="post" action="{escape(action)}">{kept}'
        + _typed("current", "Password", "current-password", focus=True)
        + f'<button type="submit">Go on</button></form>{BACK}',
    )


def app_page(made: Mapping[str, str], csrf: str, message: str = "") -> str:
    """Return what an authenticator app needs, and the question for a code;
    `made` holds factor, secret and uri."""
    secret = made.get("secret", "")
    groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    kept = hidden({"csrf": csrf, **{name: made.get(name, "") for name in APP}})
    uri = made.get("uri", "")
    link = f'<p><a href="{escape(uri)}">Open it in an app on this device</a></p>'
    return page(
        "Add an authenticator app",
        f"{told(message)}<ol><li>Type this key into the app, as one that changes with time:"
        f'<p class="secret"><code>{escape(groups)}</code></p>'
        f"{link if uri.startswith('otpauth://') else ''}"
        f'<details><summary>The address that a QR code would hold</summary><p class="secret">'
        f"<code>{escape(uri)}</code></p></details></li><li>"
        f'<form method="post" action="/account/app/confirm">{kept}'
        '<label for="code">Type the code that it shows</label>'
        '<input id="code" name="code" autocomplete="one-time-code" inputmode="numeric" '
        'spellcheck="false" required autofocus>'
        f'<button type="submit">Make it count</button></form></li></ol>{BACK}',
    )


APP = ("factor", "secret", "uri")


def key_page(made: Enrolment, label: str, csrf: str) -> str:
    """Return the page that has a browser set up a security key."""
    kept = hidden({"csrf": csrf, "ticket": made.ticket, "label": label, "value": ""})
    options = escape(msgspec.json.encode(made.options).decode())
    return page(
        "Add a security key",
        f'<form id="key" method="post" action="/account/key/confirm" data-options="{options}">'
        f'{kept}<p>Have it at hand; the browser says what to do.</p><button type="submit" '
        'autofocus>Use the security key</button><p id="key-told" role="status"></p></form>'
        f"<noscript><p>This needs a script, which the browser does not run.</p></noscript>{BACK}",
        script=True,
    )


def codes_page(codes: Sequence[str], title: str = "Your recovery codes") -> str:
    """Return recovery codes, shown once."""
    items = "".join(f"<li><code>{escape(one)}</code></li>" for one in codes)
    return page(
        title,
        "<p>Each is good once in place of a second factor. They are shown now and never again: "
        f'keep them where the app or key is not.</p><ul class="codes">{items}</ul>{BACK}',
    )


def changed_page() -> str:
    """Return the page of somebody whose password is another now."""
    return page(
        "The password is changed",
        "<p>All your sessions and tokens have ended.</p>"
        '<p><a href="/login?next=/account">Sign in with the new one</a></p>',
    )


def _section(name: str, title: str, body: str) -> str:
    return f'<section aria-labelledby="of-{name}"><h2 id="of-{name}">{title}</h2>{body}</section>'


def _typed(
    name: str, label: str, complete: str, described: str = "", *, focus: bool = False
) -> str:
    by = f' aria-describedby="{described}"' if described else ""
    return (
        f'<label for="{name}">{label}</label><input id="{name}" name="{name}" type="password" '
        f'autocomplete="{complete}" required{by}{" autofocus" if focus else ""}>'
    )


def _day(time_ms: int) -> str:
    text = rfc3339(time_ms)
    return f'<time datetime="{text}">{text[:16].replace("T", " ")} UTC</time>'
