"""Second factors: setting them up, taking them away, and the proof that one was
shown.

A proof names the event that uses it up. Whoever appends it does so only onto
the account as it was when the proof was checked, so of two requests with one
code, in any processes, one fails.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from agentsquad.kernel.event import NewEvent
from agentsquad.trust.identity import recovery, totp
from agentsquad.trust.identity import ticket as tickets
from agentsquad.trust.identity.account import Account, Factor, change
from agentsquad.trust.identity.administration import found
from agentsquad.trust.identity.contract import (
    CodeMaker,
    FactorError,
    Party,
    Passkey,
    SecurityKeys,
    TicketError,
)
from agentsquad.trust.identity.directory import Change, Directory
from agentsquad.trust.identity.state import State
from agentsquad.trust.identity.ticket import Ticket

ISSUER = "Agent Squad"
FACTORS_MAX = 10


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That a second factor was shown: a time step or counter of a factor, or a
    recovery code."""

    kind: Literal["factor", "recovery"]
    name: str
    step: int = 0

    def unused(self, account: Account) -> bool:
        """Whether it still counts."""
        if self.kind == "recovery":
            return self.name in account.codes
        factor = account.factors.get(self.name)
        if factor is None or not factor.confirmed:
            return False
        return self.step > factor.step or (factor.method == "webauthn" and self.step == 0)

    def event(self, account: Account, now_ms: int) -> NewEvent:
        """Return the event that uses it up."""
        if self.kind == "recovery":
            return change(
                account.actor, "recovery.used", account.actor, mark=self.name, at_ms=now_ms
            )
        return change(
            account.actor, "factor.used", account.actor,
            factor=self.name, step=self.step, at_ms=now_ms,
        )  # fmt: skip


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A factor being set up: for an authenticator app its secret and what to
    show as a QR code, told once; for a security key the options for the
    browser and a ticket to bring back with its answer."""

    factor: str = ""
    secret: str = ""
    uri: str = ""
    options: Mapping[str, Any] = {}
    ticket: str = ""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A factor that is ready; with the first one come recovery codes, told
    once."""

    factor: str
    recovery_codes: tuple[str, ...] = ()


class Factors:
    """Second factors of accounts."""

    def __init__(
        self,
        directory: Directory,
        codes: Callable[[], CodeMaker],
        keys: Callable[[], SecurityKeys],
    ) -> None:
        self._directory = directory
        self._codes = codes
        self._keys = keys

    # --- showing one

    def proof(
        self, account: Account, method: str, value: Any, party: Party | None, challenge: bytes
    ) -> Proof | None:
        """Return the proof that a factor was shown; None where it was not."""
        if method == "totp" and isinstance(value, str):
            return self._totp(account, value)
        if method == "recovery" and isinstance(value, str):
            mark = self._mark(account.actor, value)
            return Proof(kind="recovery", name=mark) if mark in account.codes else None
        if method == "webauthn" and isinstance(value, Mapping) and party is not None:
            return self._webauthn(account, value, party, challenge)
        return None

    def _totp(self, account: Account, code: str) -> Proof | None:
        for factor in account.factors.values():
            if factor.method == "totp" and factor.confirmed:
                step = self._fitting(account.actor, factor, code)
                if step is not None:
                    return Proof(kind="factor", name=factor.id, step=step)
        return None

    def _fitting(self, actor: str, factor: Factor, code: str) -> int | None:
        secret = self._secret(actor, factor).decode()
        maker = self._codes()
        return totp.fitting_step(
            code[:32], self._directory.now_ms(), factor.step, lambda step: maker.code(secret, step)
        )

    def _webauthn(
        self, account: Account, value: Mapping[str, Any], party: Party, challenge: bytes
    ) -> Proof | None:
        held = self._passkeys(account)
        used = self._keys().asserted(party, challenge, value, list(held.values()))
        if used is None:
            return None
        name = next(name for name, one in held.items() if one.id == used.id)
        return Proof(kind="factor", name=name, step=used.count)

    def assertion(self, account: Account, party: Party, challenge: bytes) -> Mapping[str, Any]:
        """Return the options with which a browser uses one of the security
        keys."""
        return self._keys().assertion(party, challenge, list(self._passkeys(account).values()))

    # --- setting one up

    async def enrol_totp(self, name: str, by: str, label: str = "") -> Enrolment:
        """Begin to set up an authenticator app; it counts once a code of it was
        shown (`confirm_totp`)."""
        secret, factor = self._codes().secret(), self._directory.id()
        account = await self._add(name, factor, "totp", secret.encode(), by, label=label)
        person = account.actor.partition(":")[2]
        uri = self._codes().uri(secret, person, ISSUER)
        return Enrolment(factor=factor, secret=secret, uri=uri)

    async def confirm_totp(self, name: str, factor: str, code: str, by: str) -> Ready:
        """Make an authenticator app count by a code it shows."""
        codes = recovery.codes(self._directory.entropy.token(recovery.COUNT * recovery.SIZE))
        told: list[tuple[str, ...]] = []

        def decide(state: State, now_ms: int) -> Change:
            account = found(state, name)
            held = account.factors.get(factor)
            if held is None or held.method != "totp" or held.confirmed:
                raise FactorError("that is not being set up", hint="begin again")
            step = self._fitting(account.actor, held, code)
            if step is None:
                raise FactorError("the code is not right", hint="check the clock of the device")
            used = change(
                account.actor, "factor.used", by,
                factor=factor, step=step, at_ms=now_ms, confirms=True,
            )  # fmt: skip
            told[:] = [() if account.codes else codes]
            more = [self._issued(account, told[0], by, now_ms)] if told[0] else []
            return Change([used, *more], {account.stream: account.version})

        await self._directory.change(decide)
        return Ready(factor=factor, recovery_codes=told[0])

    async def enrol_key(self, name: str, party: Party) -> Enrolment:
        """Begin to set up a security key: return options for the browser."""
        account = found(await self._directory.follow(), name)
        challenge = self._directory.entropy.token(32)
        ticket = Ticket(
            nonce=self._directory.entropy.token(16).hex(),
            account=account.actor,
            expires_ms=self._directory.now_ms() + tickets.LIFETIME_MS,
            purpose="enrol",
            challenge=base64.urlsafe_b64encode(challenge).decode(),
        )
        known = list(self._passkeys(account).values())
        return Enrolment(
            options=self._keys().registration(party, account.actor, challenge, known),
            ticket=tickets.sealed(ticket, self._directory.sealer),
        )

    async def confirm_key(
        self, ticket: str, response: Mapping[str, Any], party: Party, by: str, label: str = ""
    ) -> Ready:
        """Make a security key count by what the browser answered."""
        state = await self._directory.follow()
        held = tickets.opened(ticket, self._directory.sealer, self._directory.now_ms(), "enrol")
        if held is None or state.account(held.account) is None:
            raise TicketError
        challenge = base64.urlsafe_b64decode(held.challenge)
        made = self._keys().registered(party, challenge, response)
        known = self._passkeys(found(state, held.account))
        if any(one.id == made.id for one in known.values()):
            raise FactorError("this security key is set up already")
        codes = recovery.codes(self._directory.entropy.token(recovery.COUNT * recovery.SIZE))
        account = await self._add(
            held.account, held.session, "webauthn", msgspec.json.encode(made), by,
            label=label, step=made.count, codes=codes,
        )  # fmt: skip
        issued = account.codes == self._marks(account.actor, codes)
        return Ready(factor=held.session, recovery_codes=codes if issued else ())

    async def remove(self, name: str, factor: str, by: str) -> Account:
        """Take a factor away; FactorError where there is none."""

        def decide(state: State, now_ms: int) -> Change:
            account = found(state, name)
            if factor not in account.factors:
                raise FactorError("there is no such factor", hint="squad factors list")
            event = change(account.actor, "factor.removed", by, factor=factor, at_ms=now_ms)
            return Change([event], {account.stream: account.version})

        await self._directory.change(decide)
        return found(await self._directory.follow(), name)

    async def renew_codes(self, name: str, by: str) -> tuple[str, ...]:
        """Give an account new recovery codes; those from before count no
        more."""
        codes = recovery.codes(self._directory.entropy.token(recovery.COUNT * recovery.SIZE))

        def decide(state: State, now_ms: int) -> Change:
            account = found(state, name)
            event = self._issued(account, codes, by, now_ms)
            return Change([event], {account.stream: account.version})

        await self._directory.change(decide)
        return codes

    async def _add(
        self, name: str, factor: str, method: str, secret: bytes, by: str, **more: Any
    ) -> Account:
        codes: tuple[str, ...] = more.pop("codes", ())

        def decide(state: State, now_ms: int) -> Change:
            account = found(state, name)
            if account.actor.startswith("service:"):
                raise FactorError("a service never signs in", hint="squad keys create")
            if factor in account.factors:
                raise TicketError
            begun = [one.id for one in account.factors.values() if not one.confirmed]
            if len(account.factors) - len(begun) >= FACTORS_MAX:
                raise FactorError(f"an account has at most {FACTORS_MAX} second factors")
            box = self._directory.sealer.seal(_purpose(account.actor, factor), secret)
            gone = [
                change(account.actor, "factor.removed", by, factor=one, at_ms=now_ms)
                for one in begun
            ]
            event = change(
                account.actor, "factor.added", by,
                factor=factor, method=method, sealed=box, at_ms=now_ms,
                confirmed=method != "totp", **more,
            )  # fmt: skip
            issue = codes and not account.codes
            new = [self._issued(account, codes, by, now_ms)] if issue else []
            return Change([*gone, event, *new], {account.stream: account.version})

        await self._directory.change(decide)
        return found(await self._directory.follow(), name)

    # --- what is kept

    def _issued(self, account: Account, codes: tuple[str, ...], by: str, now_ms: int) -> NewEvent:
        marks = list(self._marks(account.actor, codes))
        return change(account.actor, "recovery.issued", by, marks=marks, at_ms=now_ms)

    def _marks(self, actor: str, codes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._mark(actor, code) for code in codes)

    def _mark(self, actor: str, code: str) -> str:
        return self._directory.sealer.mark(f"recovery/{actor}", recovery.normal(code[:64]))

    def _secret(self, actor: str, factor: Factor) -> bytes:
        data = self._directory.sealer.unseal(_purpose(actor, factor.id), factor.sealed)
        if data is None:
            raise FactorError(
                "this second factor was sealed under another key",
                hint="restore the key of the home (keys/identity.key)",
            )
        return data

    def _passkeys(self, account: Account) -> dict[str, Passkey]:
        held = {}
        for one in account.factors.values():
            if one.method == "webauthn" and one.confirmed:
                kept = msgspec.json.decode(self._secret(account.actor, one), type=Passkey)
                held[one.id] = msgspec.structs.replace(kept, count=one.step)
        return held


def _purpose(actor: str, factor: str) -> str:
    return f"factor/{actor}/{factor}"
