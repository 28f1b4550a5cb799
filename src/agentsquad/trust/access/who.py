"""Who may do something: which action is meant, and which accounts reach it.

Pure but for the decisions it is handed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.policy import Decision
from agentsquad.kernel.registry import Registry, nearest
from agentsquad.kernel.resource import Kind
from agentsquad.trust.access.contract import SYSTEM, Access, Ask
from agentsquad.trust.access.decision import NAMESPACE
from agentsquad.trust.identity.contract import EVERY_NAMESPACE, Principal

ON_RESOURCES = {
    "get": "resources.get",
    "list": "resources.list",
    "watch": "resources.list",
    "apply": "resources.apply",
    "put": "resources.put",
    "create": "resources.put",
    "update": "resources.put",
    "delete": "resources.delete",
}
ANSWERING = ("approvals.approve", "approvals.reject")


class Permitted(msgspec.Struct, frozen=True, kw_only=True):
    """One who may: `by` are the roles that allow it, `granted` where each is
    held (`*`: in every namespace), `because` what policy says of the very
    question in the inbox."""

    actor: str
    namespace: str
    by: tuple[str, ...]
    granted: tuple[str, ...]
    because: str = ""


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked about: an action, and the resource or item it is done
    to."""

    action: str
    effect: str
    system: bool
    target: str = ""
    item: str = ""

    def ask(self, namespace: str) -> Ask:
        """Return the question for one namespace; of what concerns the
        installation, as far as it is about that one."""
        if self.system:
            target = "" if namespace == SYSTEM else f"{NAMESPACE}/{namespace}"
            return Ask(verb=self.action, effect=self.effect, namespace=SYSTEM, target=target)
        return Ask(verb=self.action, effect=self.effect, namespace=namespace, target=self.target)


def meant(registry: Registry, verb: str, target: str) -> Meant:
    """Return which action a verb is, by its name, by its words on the command
    line, or by what may be done to a kind."""
    name = _named(registry, verb, target)
    if name is None:
        words = sorted({*registry.actions, *ON_RESOURCES})
        raise MissingError(
            f"no action {verb!r}" + (f" on {target}" if target else ""),
            code="action.missing",
            hint=nearest(verb, words) or "squad who-can runs.start, or delete agent/matcher",
        )
    spec = registry.action(name).spec
    item = target if name in ANSWERING and "/" not in target else ""
    return Meant(
        action=name,
        effect=spec.effect.value,
        system=spec.realm == SYSTEM,
        target="" if item else target,
        item=item,
    )


def _named(registry: Registry, verb: str, target: str) -> str | None:
    if verb in registry.actions:
        return verb
    word = target.partition("/")[0]
    if word and _is_kind(registry.kinds, word):
        return ON_RESOURCES.get(verb)
    if word == "run" and f"runs.{verb}" in registry.actions:
        return f"runs.{verb}"
    path = tuple(verb.split())
    return next((name for name, one in registry.actions.items() if one.spec.cli == path), None)


def _is_kind(kinds: Mapping[str, Kind], word: str) -> bool:
    return any(
        word.lower() in (kind.name.lower(), (kind.plural or f"{kind.name}s").lower())
        for kind in kinds.values()
    )


def principals(
    grants: Iterable[tuple[str, str, str]], disabled: Sequence[str] = ()
) -> list[Principal]:
    """Return who holds anything, from (account, role, where), in the order of
    their names; those who may not sign in are left out."""
    held: dict[str, dict[str, list[str]]] = {}
    for account, role, where in grants:
        if account not in disabled:
            held.setdefault(account, {}).setdefault(where, []).append(role)
    return [
        Principal(
            actor=Actor.parse(account),
            grants={where: tuple(sorted(roles)) for where, roles in held[account].items()},
        )
        for account in sorted(held)
    ]


def permitted(
    access: Access,
    who: Iterable[Principal],
    question: Meant,
    namespaces: Sequence[str],
    answers: Callable[[str, Actor], Decision] | None = None,
) -> list[Permitted]:
    """Return who reaches an action in these namespaces; with `answers`, only
    those whom policy lets answer the question there."""
    found = []
    for principal in who:
        for namespace in namespaces:
            decision = access.decide(principal, question.ask(namespace))
            if not decision.allow:
                continue
            because = ""
            if answers is not None:
                said = answers(namespace, principal.acting_in(namespace))
                if not said.allow:
                    continue
                because = said.reason
            by = _roles(decision)
            found.append(
                Permitted(
                    actor=str(principal.actor),
                    namespace=namespace,
                    by=by,
                    granted=tuple(_where(principal, role, namespace) for role in by),
                    because=because,
                )
            )
    return found


def _roles(decision: Decision) -> tuple[str, ...]:
    return tuple(clause.removeprefix("access.role.") for clause in decision.clauses)


def _where(principal: Principal, role: str, namespace: str) -> str:
    everywhere: Any = principal.grants.get(EVERY_NAMESPACE, ())
    return EVERY_NAMESPACE if role in everywhere else namespace
