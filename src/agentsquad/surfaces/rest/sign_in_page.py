"""Pages of signing in and of allowing programs, as HTML that works without a
script; a script is only needed for security keys.

Everything that comes from outside passes `escape`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from agentsquad.trust.identity.credential import DAY_MS
from agentsquad.trust.identity.tokens import FAMILY_MS

LEAVE = '<p>Somebody else? <a href="/login">Sign out</a>.</p>'
METHODS = {
    "totp": ("Code from your app", "one-time-code", "numeric"),
    "recovery": ("Recovery code", "off", "text"),
}


def page(title: str, body: str, *, script: bool = False) -> str:
    """Return a whole page."""
    run = '<script src="/login/sign-in.js" defer></script>' if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} – Agent Squad</title>"
        f'<link rel="stylesheet" href="/login/sign-in.css">{run}</head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )


def told(message: str) -> str:
    """Return a message that a screen reader says at once."""
    return f'<p class="told" role="alert">{escape(message)}</p>' if message else ""


def hidden(fields: Mapping[str, str]) -> str:
    """Return fields that travel with a form."""
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )


def password_form(
    place: str,
    message: str,
    providers: Sequence[tuple[str, str]] = (),
    *,
    action: str = "/login",
) -> str:
    """Return the first step: name and password; `providers` are names and what
    people call them."""
    links = "".join(
        f'<li><a href="/auth/providers/{escape(name)}?next={quote(place)}">{escape(label)}</a></li>'
        for name, label in providers
    )
    elsewhere = f"<h2>Or sign in with</h2><ul>{links}</ul>" if links else ""
    return page(
        "Sign in",
        f'{told(message)}<form method="post" action="{escape(action)}">'
        f"{hidden({'next': place})}"
        '<label for="name">Name</label>'
        '<input id="name" name="name" autocomplete="username" autocapitalize="none" '
        'spellcheck="false" required autofocus>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" '
        f'required><button type="submit">Sign in</button></form>{elsewhere}',
    )


def factor_form(ticket: str, wants: Sequence[str], place: str, message: str) -> str:
    """Return the second step: a code, or a security key."""
    fields = hidden({"ticket": ticket, "next": place})
    parts = [told(message)]
    if "webauthn" in wants:
        parts.append(
            f'<form id="key" method="post" action="/login/verify">{fields}'
            '<input type="hidden" name="method" value="webauthn">'
            '<input type="hidden" name="value" value="">'
            '<button type="submit">Use a security key</button>'
            '<p id="key-told" role="status"></p></form>'
        )
    for method in (one for one in METHODS if one in wants):
        label, complete, mode = METHODS[method]
        parts.append(
            f'<form method="post" action="/login/verify">{fields}'
            f'<input type="hidden" name="method" value="{method}">'
            f'<label for="{method}">{label}</label>'
            f'<input id="{method}" name="value" autocomplete="{complete}" inputmode="{mode}" '
            'spellcheck="false" required><button type="submit">Go on</button></form>'
        )
    return page("One more step", "".join(parts), script="webauthn" in wants)


def done_page(who: str, csrf: str) -> str:
    """Return the page of somebody who is signed in."""
    return page(
        "You are signed in",
        f"<p>You are <strong>{escape(who)}</strong>.</p>"
        '<p><a href="/docs">What there is</a> · <a href="/account">Your account</a></p>'
        f'<form method="post" action="/logout">{hidden({"csrf": csrf})}'
        '<button type="submit">Sign out</button></form>',
    )


def left_page() -> str:
    """Return the page of somebody who has signed out."""
    return page("You are signed out", '<p><a href="/login">Sign in again</a></p>')


def consent_page(
    action: str, what: str, scopes: Sequence[str], who: str, fields: Mapping[str, str]
) -> str:
    """Return the question whether a program may act as somebody."""
    days = FAMILY_MS // DAY_MS
    listed = "".join(f"<li><code>{escape(one)}</code></li>" for one in scopes)
    return page(
        "Allow this?",
        f"<p><strong>{escape(what)}</strong> wants to act as <strong>{escape(who)}</strong>:</p>"
        f"<ul>{listed}</ul><p>For {days} days at most, or until you end it under "
        f'<a href="/account">your account</a>.</p>{LEAVE}'
        f'<form method="post" action="{escape(action)}">{hidden(fields)}'
        '<button type="submit" name="answer" value="allow">Allow</button> '
        '<button type="submit" name="answer" value="deny" class="second">Refuse</button></form>',
    )


def device_page(
    action: str,
    what: tuple[str, str],
    scopes: Sequence[str],
    who: str,
    fields: Mapping[str, str],
) -> str:
    """Return the question whether a device may act as somebody; `what` is its
    program and the address it asked from.

    It warns first: a code that a stranger sent is how accounts are stolen this
    way (RFC 8628 section 5.4).
    """
    program, address = what
    listed = "".join(f"<li><code>{escape(one)}</code></li>" for one in scopes)
    asked = f", asked for from <code>{escape(address)}</code>" if address else ""
    return page(
        "Connect this device?",
        '<p class="told" role="alert">Allow this only if you began it yourself, just now, and '
        "the code below is the one on the device in front of you. Nobody who helps you needs "
        "you to open this page: whoever sent you this link or code would act in your name.</p>"
        f"<p>Code: <strong><code>{escape(fields['user_code'])}</code></strong></p>"
        f"<p><strong>{escape(program)}</strong>{asked}, wants to act as "
        f"<strong>{escape(who)}</strong>:</p><ul>{listed}</ul>"
        f"<p>For {FAMILY_MS // DAY_MS} days at most, or until you end it under "
        f'<a href="/account">your account</a>.</p>{LEAVE}'
        f'<form method="post" action="{escape(action)}">{hidden(fields)}'
        '<button type="submit" name="answer" value="deny" class="second">Refuse</button> '
        '<button type="submit" name="answer" value="allow">Allow</button></form>',
    )


def code_page(message: str, code: str = "") -> str:
    """Return the page that asks for the code a device shows."""
    return page(
        "Connect a device",
        f'{told(message)}{LEAVE}<form method="get" action="/auth/activate">'
        '<label for="user_code">Code that the device shows</label>'
        f'<input id="user_code" name="user_code" value="{escape(code)}" autocomplete="off" '
        'autocapitalize="characters" spellcheck="false" required autofocus>'
        '<button type="submit">Go on</button></form>',
    )


def told_page(title: str, message: str) -> str:
    """Return a page that only says something."""
    return page(title, f"<p>{escape(message)}</p>")
