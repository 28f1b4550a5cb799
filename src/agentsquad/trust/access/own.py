"""One's own account: what people may with it, whatever roles they hold.

Of an action that is about an account some field names it, and none means
whoever asks. Was a call allowed for one's own account alone, the field is
filled in before the action sees it, so that the action needs to know nothing of
who may what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.trust.access.contract import Ask
from agentsquad.trust.identity.contract import FRESH_MS, Principal

RULE = "data.access.roles.oneself"
CLAUSE = "access.own"
ACCOUNT = "account"  # the kind of a target that is one: account/ada, account/ for one's own
READS = ("pure", "read")
# What changes how somebody signs in, or where they are signed in; not what only
# takes something back.
GRAVE = (
    "factors.add_app", "factors.confirm", "factors.remove", "factors.new_codes", "keys.create",
    "sessions.revoke",
)  # fmt: skip
FIELDS = {
    "factors.list": "name",
    "factors.add_app": "name",
    "factors.confirm": "name",
    "factors.remove": "name",
    "factors.new_codes": "name",
    "keys.create": "owner",
    "keys.list": "owner",
    "keys.revoke": "owner",
    "sessions.list": "owner",
    "sessions.revoke": "owner",
}


def account_target(verb: str, value: Mapping[str, Any]) -> str:
    """Return the account a call is about; nothing of other actions."""
    field = FIELDS.get(verb)
    return "" if field is None else f"{ACCOUNT}/{value.get(field) or ''}"


def narrowed(verb: str, value: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
    """Return the input of a call that was allowed for one's own account
    alone."""
    return {**value, FIELDS[verb]: str(principal.actor)}


def stale(principal: Principal, ask: Ask, now_ms: int) -> bool:
    """Whether people must sign in again before they do this to their own
    account, so that a browser left open is not enough."""
    grave = ask.verb in GRAVE and concerns_own(principal, ask)
    return grave and principal.begun_ms is not None and now_ms - principal.begun_ms > FRESH_MS


def concerns_own(principal: Principal, ask: Ask) -> bool:
    """Whether a person asks about their own account, and by what they may ask
    so: a key changes nothing of it, else one that leaked could make another."""
    kind, slash, name = ask.target.partition("/")
    actor = principal.actor
    if ask.verb not in FIELDS or actor.kind != "person" or (kind, slash) != (ACCOUNT, "/"):
        return False
    by_person = principal.credential.startswith(("session:", "token:"))
    return name in ("", actor.name, str(actor)) and (ask.effect in READS or by_person)
