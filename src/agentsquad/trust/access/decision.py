"""Who may: the port `Access`, by the rules of policy/roles.rego.

A decision follows from roles, scopes, action and namespace alone, so it is
remembered until the policy or a role changes. What goes wrong denies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.policy import Decision, PolicyEngine
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.kernel.resource import Kind
from agentsquad.trust.access.contract import (
    SYSTEM,
    AccessDeniedError,
    Ask,
    NamespaceMissingError,
)
from agentsquad.trust.access.denial import Denial, Denials
from agentsquad.trust.access.own import CLAUSE, concerns_own
from agentsquad.trust.access.own import RULE as OWN_RULE
from agentsquad.trust.access.role import RoleBook
from agentsquad.trust.identity.contract import EVERY_NAMESPACE, Principal

RULE = "data.access.roles.answer"
KNOWN_MAX = 20_000
NAMESPACE = "namespace"  # the kind of a target that is one: namespace/acme
# Of the installation, but where they are about one namespace its own roles
# allow them too: who administers it passes roles in it on.
DELEGATED = frozenset(("grants.add", "grants.remove", "access.who_can", "access.check"))


class RoleAccess:
    """Decides by roles and scopes; the roles that are resources come from the
    log it is given, which keeps what it denied too."""

    def __init__(
        self, policy: PolicyEngine, store: EventStore, clock: Clock, kinds: Mapping[str, Kind]
    ) -> None:
        self._policy = policy
        self._store = store
        self._clock = clock
        self._kinds = {
            word.lower(): kind.name
            for kind in kinds.values()
            for word in (kind.name, kind.plural or f"{kind.name}s")
        }
        self._book = RoleBook(store)
        self._denials = Denials()
        self._known: dict[Any, Decision] = {}
        self._as_of: tuple[str, int] = ("", -1)

    async def follow(self) -> None:
        """Take in roles that were applied or deleted since."""
        await self._book.follow()

    def decide(self, principal: Principal, ask: Ask) -> Decision:
        """Answer one question, from the roles as they were followed last."""
        decision = self._decided(principal, ask)
        if not decision.allow and ask.namespace == SYSTEM:
            kind, _, there = ask.target.partition("/")
            if ask.verb in DELEGATED and kind == NAMESPACE:
                own = msgspec.structs.replace(ask, namespace=there, target="")
                return self._decided(principal, own)
            if concerns_own(principal, ask):
                return self._for_oneself(principal, ask) or decision
        return decision

    def _for_oneself(self, principal: Principal, ask: Ask) -> Decision | None:
        """Return what allows it for one's own account; None where nothing
        does."""
        document = {"verb": ask.verb, "effect": ask.effect, "scopes": principal.scopes}
        try:
            allowed = self._policy.query(OWN_RULE, document) is True
        except SquadError:
            allowed = False
        if not allowed:
            return None
        revision = self._policy.revision
        return Decision(
            allow=True, reason="it is their own account", revision=revision, clauses=(CLAUSE,)
        )

    def _decided(self, principal: Principal, ask: Ask) -> Decision:
        as_of = (self._policy.revision, self._book.version)
        if as_of != self._as_of:
            self._known.clear()
            self._as_of = as_of
        grants = principal.grants
        held = tuple(grants.get(ask.namespace, ()))
        everywhere = tuple(grants.get(EVERY_NAMESPACE, ()))
        kind = self._kind(ask.target) if ask.target else ""
        key = (held, everywhere, principal.scopes, ask.verb, ask.effect, ask.namespace, kind)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[key] = self._asked(principal, ask, kind)
        return known

    def _kind(self, target: str) -> str:
        """Return the kind of a target as kinds spell it; what is none stays as
        it is, and fits no rule."""
        word = target.partition("/")[0]
        return self._kinds.get(word.lower(), "")

    def _asked(self, principal: Principal, ask: Ask, kind: str) -> Decision:
        roles = principal.roles(ask.namespace)
        document = {
            "roles": roles,
            "everywhere": principal.grants.get(EVERY_NAMESPACE, ()),
            "custom": {name: self._book.rules[name] for name in roles if name in self._book.rules},
            "scopes": principal.scopes,
            "verb": ask.verb,
            "effect": ask.effect,
            "namespace": ask.namespace,
            "kind": kind,
        }
        try:
            answer = self._policy.query(RULE, document)
            return Decision(
                allow=answer["allow"] is True,
                reason=answer["reason"],
                revision=self._policy.revision,
                clauses=tuple(sorted(answer["clauses"])),
            )
        except (SquadError, TypeError, KeyError) as error:
            return Decision(
                allow=False,
                reason=f"the policy could not be evaluated: {error}",
                revision=self._policy.revision,
                clauses=("access.error",),
            )

    async def require(self, principal: Principal, ask: Ask) -> Decision:
        """Return the decision that allows it, or raise."""
        await self._book.follow()
        decision = self.decide(principal, ask)
        if decision.allow:
            return decision
        denial = Denial(
            actor=str(principal.actor),
            verb=ask.verb,
            namespace=ask.namespace,
            surface=ask.surface,
            credential=principal.credential,
            reason=decision.reason,
            clauses=decision.clauses,
        )
        events = self._denials.note(denial, self._clock.now_ms())
        if events:
            await self._store.append(events)
        if not principal.roles(ask.namespace):
            raise NamespaceMissingError
        raise AccessDeniedError(
            f"{ask.verb} is not allowed: {decision.reason}",
            hint="whoever administers the namespace grants roles; scopes belong to the credential",
            details={"clauses": list(decision.clauses)},
        )

    async def close(self) -> None:
        """Write down the denials that were not told yet."""
        events = self._denials.flush()
        if events:
            await self._store.append(events)
