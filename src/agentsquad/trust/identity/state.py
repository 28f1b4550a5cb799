"""State: what the log of the installation says about who may sign in, folded.

Pure and in memory: `State.evolve(event)` for each event in order, from the
first. It holds no secret, only digests and boxes sealed under the key of the
home.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.trust.identity.account import ADDRESSES_MAX, Account, Factor
from agentsquad.trust.identity.credential import Key, Session, session_until
from agentsquad.trust.identity.issued import Client, Code, Family, SigningKey
from agentsquad.trust.identity.lockout import Failures

Body = Mapping[str, Any]

# After these nothing that was answered before can have become wrong.
HARMLESS = frozenset(
    (
        "account.added", "factor.added", "factor.used", "key.created", "login.failed",
        "login.succeeded", "session.started", "session.used", "signing.key_added",
        "token.granted", "token.rotated", "token.asked", "token.approved", "token.exchanged",
        "client.added",
    )
)  # fmt: skip


class State:
    """Everything known; `at` is the last event that was looked at."""

    def __init__(self) -> None:
        self.at = 0
        self.changes = 0  # grows whenever an answer given before may be wrong now
        self.now_ms = 0  # of the newest event
        self.accounts: dict[str, Account] = {}
        self.gone: set[str] = set()  # deleted: events name them, nobody else may be called so
        self.keys: dict[str, Key] = {}
        self.keys_by_digest: dict[str, Key] = {}
        self.sessions: dict[str, Session] = {}
        self.sessions_by_digest: dict[str, Session] = {}
        self.bootstrap: str | None = None  # digest of the token that counts
        self.bootstrap_issued = 0
        self.families: dict[str, Family] = {}
        self.families_by_digest: dict[str, Family] = {}
        self.codes: dict[str, Code] = {}
        self.clients: dict[str, Client] = {}
        self.signing: dict[str, SigningKey] = {}
        self.revoked: dict[str, int] = {}  # token id -> when it would have ended
        self.failures = Failures()

    def evolve(self, event: Event) -> None:
        """Take in one event; unknown types and erased payloads change
        nothing."""
        self.at = max(self.at, event.seq)
        take = _EVOLVE.get(event.type)
        if take is None or event.payload is None:
            return
        body: Body = event.payload
        self.now_ms = max(self.now_ms, body.get("at_ms", 0))
        account = self.accounts.get(body.get("account", ""))
        if account is not None and event.stream == account.stream:
            account.version = event.stream_seq
        take(self, body, event)
        if event.type not in HARMLESS:
            self.changes += 1

    def account(self, actor: str) -> Account | None:
        """Return an account; None where there is none."""
        return self.accounts.get(actor)

    @property
    def administered(self) -> bool:
        """Whether an administrator has signed in with a password."""
        return any(
            one.administers and one.sealed is not None and one.signed_in_ms is not None
            for one in self.accounts.values()
        )

    def sweep(self, now_ms: int) -> None:
        """Forget what ended by itself and can never count again."""
        for session in [s for s in self.sessions.values() if _over(s, now_ms)]:
            self._end_session(session)
        for name, until in list(self.revoked.items()):
            if until <= now_ms:
                del self.revoked[name]
        for family in [f for f in self.families.values() if f.expires_ms <= now_ms]:
            self._forget_family(family)
        for code in [c for c in self.codes.values() if c.expires_ms <= now_ms]:
            self.codes.pop(code.digest, None)
            self.codes.pop(code.spoken, None)

    def _end_session(self, session: Session) -> None:
        session.ended = True
        self.sessions.pop(session.id, None)
        self.sessions_by_digest.pop(session.digest, None)

    def _forget_family(self, family: Family) -> None:
        self.families.pop(family.id, None)
        for one in (family.digest, *family.used):
            self.families_by_digest.pop(one, None)

    def _end_all(self, actor: str) -> None:
        """End sessions and tokens of an account."""
        for session in [s for s in self.sessions.values() if s.owner == actor]:
            self._end_session(session)
        for family in self.families.values():
            if family.owner == actor:
                family.ended = True


def _over(session: Session, now_ms: int) -> bool:
    # Others may have seen it later than the log says; by how much is bounded.
    return session_until(session) + session.idle_ms <= now_ms


# --- accounts


def _added(state: State, body: Body, event: Event) -> None:
    actor = body["account"]
    state.accounts[actor] = Account(
        actor=actor,
        version=event.stream_seq,
        display=_text(body.get("display")),
        email=_text(body.get("email")),
        source=body.get("source", "local"),
        added_ms=body["at_ms"],
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""  # an erased value is an object


def _of(
    change: Callable[[State, Account, Body], None],
) -> Callable[[State, Body, Event], None]:
    def take(state: State, body: Body, event: Event) -> None:
        account = state.accounts.get(body["account"])
        if account is not None:
            change(state, account, body)

    return take


def _disabled(state: State, account: Account, body: Body) -> None:
    account.disabled = True
    state._end_all(account.actor)


def _enabled(state: State, account: Account, body: Body) -> None:
    account.disabled = False


def _deleted(state: State, account: Account, body: Body) -> None:
    state._end_all(account.actor)
    for key in state.keys.values():
        if key.owner == account.actor and key.revoked_ms is None:
            key.revoked_ms = body["at_ms"]
    del state.accounts[account.actor]
    state.gone.add(account.actor)


def _password(state: State, account: Account, body: Body) -> None:
    account.sealed = body["sealed"]
    if not body.get("kept"):  # the same password, only kept more safely
        state._end_all(account.actor)


def _granted(state: State, account: Account, body: Body) -> None:
    held = {*account.grants.get(body["namespace"], ()), body["role"]}
    account.grants = {**account.grants, body["namespace"]: tuple(sorted(held))}


def _ungranted(state: State, account: Account, body: Body) -> None:
    held = {*account.grants.get(body["namespace"], ())} - {body["role"]}
    grants = {**account.grants, body["namespace"]: tuple(sorted(held))}
    account.grants = {name: roles for name, roles in grants.items() if roles}


# --- second factors


def _factor(state: State, account: Account, body: Body) -> None:
    factor = Factor(
        id=body["factor"],
        method=body["method"],
        sealed=body["sealed"],
        label=body.get("label", ""),
        confirmed=body.get("confirmed", False),
        step=body.get("step", 0),
        added_ms=body["at_ms"],
    )
    account.factors = {**account.factors, factor.id: factor}


def _factor_used(state: State, account: Account, body: Body) -> None:
    factor = account.factors.get(body["factor"])
    if factor is not None:
        factor.step = body["step"]
        factor.confirmed = factor.confirmed or body.get("confirms", False)


def _factor_removed(state: State, account: Account, body: Body) -> None:
    account.factors = {k: v for k, v in account.factors.items() if k != body["factor"]}


def _codes(state: State, account: Account, body: Body) -> None:
    account.codes = tuple(body["marks"])


def _code_used(state: State, account: Account, body: Body) -> None:
    account.codes = tuple(one for one in account.codes if one != body["mark"])


# --- sign-ins and sessions


def _failed(state: State, body: Body, event: Event) -> None:
    state.failures.note(body["who"], body.get("address", ""), body["at_ms"])


def _succeeded(state: State, body: Body, event: Event) -> None:
    account = state.accounts.get(body["account"])
    address = body.get("address", "")
    state.failures.forgive(body["account"], address)
    if account is not None:
        if body.get("first") == "password":
            account.signed_in_ms = body["at_ms"]
        if address:
            others = [one for one in account.addresses if one != address]
            account.addresses = (*others, address)[-ADDRESSES_MAX:]


def _begun(state: State, body: Body, event: Event) -> None:
    session = Session(
        id=body["session"],
        owner=body["account"],
        digest=body["digest"],
        method=body["method"],
        begun_ms=body["at_ms"],
        seen_ms=body["at_ms"],
        idle_ms=body["idle_ms"],
        expires_ms=body["expires_ms"],
        address=body.get("address", ""),
        agent=body.get("agent", ""),
        grants={name: tuple(roles) for name, roles in body.get("grants", {}).items()},
    )
    state.sessions[session.id] = session
    state.sessions_by_digest[session.digest] = session


def _seen(state: State, body: Body, event: Event) -> None:
    session = state.sessions.get(body["session"])
    if session is not None:
        session.seen_ms = max(session.seen_ms, body["at_ms"])


def _ended(state: State, body: Body, event: Event) -> None:
    session = state.sessions.get(body["session"])
    if session is not None:
        state._end_session(session)


# --- keys and the bootstrap token


def _key(state: State, body: Body, event: Event) -> None:
    key = Key(
        id=body["key"],
        owner=body["account"],
        digest=body["digest"],
        label=body.get("label", ""),
        tail=body.get("tail", ""),
        scopes=tuple(body["scopes"]),
        within=tuple(body.get("within", ())),
        created_ms=body["at_ms"],
        expires_ms=body.get("expires_ms"),
    )
    state.keys[key.id] = state.keys_by_digest[key.digest] = key


def _key_revoked(state: State, body: Body, event: Event) -> None:
    key = state.keys.get(body["key"])
    if key is not None and key.revoked_ms is None:
        key.revoked_ms = body["at_ms"]


def _bootstrap(state: State, body: Body, event: Event) -> None:
    state.bootstrap = body["digest"]
    state.bootstrap_issued = event.stream_seq


def _bootstrap_ended(state: State, body: Body, event: Event) -> None:
    state.bootstrap = None
    state.bootstrap_issued = event.stream_seq


# --- tokens


def _signing(state: State, body: Body, event: Event) -> None:
    for other in state.signing.values():
        if other.retired_ms is None:
            other.retired_ms = body["at_ms"]
    state.signing[body["kid"]] = SigningKey(
        kid=body["kid"], public=body["public"], sealed=body["sealed"], since_ms=body["at_ms"]
    )


def _asked(state: State, body: Body, event: Event) -> None:
    code = msgspec.convert(body, Code, strict=False)
    code.version = event.stream_seq
    state.codes[code.digest] = code
    if code.spoken:
        state.codes[code.spoken] = code


def _approved(state: State, body: Body, event: Event) -> None:
    code = state.codes.get(body["code"])
    if code is not None:
        code.version = event.stream_seq
        code.refused = body.get("refused", False)
        code.owner = "" if code.refused else body["account"]
        code.method = body.get("method", "")
        code.grants = {name: tuple(roles) for name, roles in body.get("grants", {}).items()}


def _exchanged(state: State, body: Body, event: Event) -> None:
    code = state.codes.get(body["code"])
    if code is not None:
        code.version = event.stream_seq
        code.spent = body["family"]


def _token_granted(state: State, body: Body, event: Event) -> None:
    family = Family(
        id=body["family"],
        owner=body["account"],
        client=body.get("client", ""),
        scopes=tuple(body["scopes"]),
        within=tuple(body.get("within", ())),
        digest=body.get("digest", ""),
        begun_ms=body["at_ms"],
        expires_ms=body["expires_ms"],
        version=event.stream_seq,
        grants={name: tuple(roles) for name, roles in body.get("grants", {}).items()},
        method=body.get("method", ""),
    )
    state.families[family.id] = family
    if family.digest:
        state.families_by_digest[family.digest] = family


def _rotated(state: State, body: Body, event: Event) -> None:
    family = state.families.get(body["family"])
    if family is not None:
        family.version = event.stream_seq
        family.used = (*family.used, family.digest)
        family.digest = body["digest"]
        state.families_by_digest[family.digest] = family


def _family_ended(state: State, body: Body, event: Event) -> None:
    family = state.families.get(body["family"])
    if family is not None:
        family.version = event.stream_seq
        family.ended = True


def _token_revoked(state: State, body: Body, event: Event) -> None:
    state.revoked[body["token"]] = body["expires_ms"]


def _client(state: State, body: Body, event: Event) -> None:
    state.clients[body["client"]] = Client(
        id=body["client"],
        redirects=tuple(body["redirects"]),
        label=body.get("label", ""),
        version=event.stream_seq,
        scopes=tuple(body.get("scopes", ("*",))),
        device=body.get("device", False),
    )


def _client_removed(state: State, body: Body, event: Event) -> None:
    state.clients.pop(body["client"], None)
    for family in state.families.values():
        if family.client == body["client"]:
            family.ended = True


_EVOLVE: Mapping[str, Callable[[State, Body, Event], None]] = {
    "account.added": _added,
    "account.disabled": _of(_disabled),
    "account.enabled": _of(_enabled),
    "account.deleted": _of(_deleted),
    "password.set": _of(_password),
    "grant.added": _of(_granted),
    "grant.removed": _of(_ungranted),
    "factor.added": _of(_factor),
    "factor.used": _of(_factor_used),
    "factor.removed": _of(_factor_removed),
    "recovery.issued": _of(_codes),
    "recovery.used": _of(_code_used),
    "login.failed": _failed,
    "login.succeeded": _succeeded,
    "session.started": _begun,
    "session.used": _seen,
    "session.ended": _ended,
    "key.created": _key,
    "key.revoked": _key_revoked,
    "bootstrap.issued": _bootstrap,
    "bootstrap.ended": _bootstrap_ended,
    "signing.key_added": _signing,
    "token.asked": _asked,
    "token.approved": _approved,
    "token.exchanged": _exchanged,
    "token.granted": _token_granted,
    "client.added": _client,
    "client.removed": _client_removed,
    "token.rotated": _rotated,
    "token.family_ended": _family_ended,
    "token.revoked": _token_revoked,
}
TYPES = tuple(_EVOLVE)
"""The types of events that are looked at."""
