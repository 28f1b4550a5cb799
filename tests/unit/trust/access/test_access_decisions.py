"""What roles allow, what scopes leave of it, and that everything else is
denied."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.assembly.catalogue import plugins
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.policy import PolicyEngine, Question
from agentsquad.kernel.registry import Registry
from agentsquad.kernel.schema import problems
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.policy.plugin import load_policy
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.trust.access.contract import AccessDeniedError, Ask, NamespaceMissingError
from agentsquad.trust.access.decision import RoleAccess
from agentsquad.trust.access.role import BUILT_IN, ROLE, STREAM
from agentsquad.trust.identity.contract import Principal

REGISTRY = Registry(plugins())
READS = ("pure", "read")
SPENDING = {
    "models.ask", "models.test", "drift.show", "runs.fork", "consistency.check",
    "workflows.check", "policy.test",
}  # fmt: skip
CODE = {"deployments.deploy", "workflows.check"}
AFAR = {"surface": "rest"}
ROOMS = {
    "runs", "approvals", "effects", "control", "schedules", "messages", "resources", "budget",
    "breakers", "transactions", "drift", "log", "attest", "deployments", "namespaces",
}  # fmt: skip
AUTHORED = ("resources", "deployments", "workflows", "flows", "policy")


@cache
def policy() -> PolicyEngine:
    return load_policy(REGISTRY.plugins)


def made() -> RoleAccess:
    clock = ManualClock(1_795_440_000_000)
    ledger = open_ledger("memory:", clock, SeededEntropy("access"))
    return RoleAccess(policy(), ledger.store, clock, REGISTRY.kinds)


def who(*roles: str, there: str = "acme", scopes: tuple[str, ...] = ("*",)) -> Principal:
    return Principal(actor=Actor("person", "ada"), grants={there: roles}, scopes=scopes)


def ask(verb: str, namespace: str = "acme", target: str = "") -> Ask:
    effect = REGISTRY.action(verb).spec.effect.value
    return Ask(verb=verb, effect=effect, namespace=namespace, target=target)


@pytest.mark.parametrize("verb", sorted(REGISTRY.actions))
def test_every_action_by_every_built_in_role(verb: str) -> None:
    access, effect = made(), REGISTRY.action(verb).spec.effect.value
    looks = effect in READS and verb not in SPENDING
    room = verb.partition(".")[0]
    may = {
        "viewer": looks,
        "approver": looks or room == "approvals",
        "operator": looks
        or room in ("runs", "schedules", "messages", "effects", "breakers", "control", "drift")
        or room in ("transactions", "a2a")
        or verb
        in (
            "budget.release", "models.ask", "models.test", "consistency.check", "blobs.put",
            "attest.prove", "log.checkpoint", "log.export",
        ),
        "author": looks
        or (room in AUTHORED and verb not in CODE)
        or verb
        in (
            "models.test", "runs.fork", "runs.export_test", "drift.baseline", "consistency.check",
            "blobs.put",
        ),
        "admin": verb not in CODE,
    }  # fmt: skip
    assert {role: access.decide(who(role), ask(verb)).allow for role in BUILT_IN} == may
    assert not access.decide(who(), ask(verb)).allow
    assert access.decide(who("admin", there="*"), ask(verb)).allow


def test_what_brings_code_along_needs_a_role_in_every_namespace() -> None:
    access = made()
    for role in ("author", "admin"):
        assert not access.decide(who(role), ask("deployments.deploy")).allow
        assert access.decide(who(role, there="*"), ask("deployments.deploy")).allow
    both = Principal(actor=Actor("person", "ada"), grants={"*": ("viewer",), "acme": ("author",)})
    assert not access.decide(both, ask("deployments.deploy")).allow


def test_a_role_of_one_namespace_is_none_in_another() -> None:
    access = made()
    assert access.decide(who("admin"), ask("runs.list")).allow
    for elsewhere in ("default", "system", "acm", "acme2", "*", ""):
        decision = access.decide(who("admin"), ask("runs.list", elsewhere))
        assert (decision.allow, decision.clauses) == (False, ("access.roles.none",))


@pytest.mark.parametrize(
    ("scopes", "verb", "allowed"),
    [
        (("*",), "runs.cancel", True),
        (("runs.*",), "runs.cancel", True),
        (("runs.*",), "resources.get", False),
        (("read",), "runs.list", True),
        (("read",), "runs.cancel", False),
        (("write",), "runs.cancel", True),
        (("write",), "runs.list", True),
        (("runs.list", "resources.*"), "resources.delete", True),
        (("*.list",), "runs.list", True),
        (("*.list",), "runs.listing", None),
        ((), "runs.list", False),
        (("",), "runs.list", False),
        (("runs",), "runs.list", False),
    ],
)
def test_scopes_narrow_what_roles_allow(
    scopes: tuple[str, ...], verb: str, allowed: bool | None
) -> None:
    asked = Ask(verb=verb, effect="read", namespace="acme") if allowed is None else ask(verb)
    assert made().decide(who("admin", scopes=scopes), asked).allow is bool(allowed)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from((*BUILT_IN, "controller")), max_size=3, unique=True),
    st.lists(st.sampled_from(("*", "read", "write", "runs.*", "*.list", "x")), max_size=3),
    st.sampled_from(sorted(REGISTRY.actions)),
)
def test_fewer_roles_or_scopes_never_allow_more(
    roles: list[str], scopes: list[str], verb: str
) -> None:
    access = made()
    if access.decide(who(*roles[1:], scopes=tuple(scopes)), ask(verb)).allow:
        assert access.decide(who(*roles, scopes=tuple(scopes)), ask(verb)).allow
    if access.decide(who(*roles, scopes=tuple(scopes[1:])), ask(verb)).allow:
        assert access.decide(who(*roles, scopes=tuple(scopes)), ask(verb)).allow


def test_a_role_of_the_business_answers_the_inbox_and_nothing_else() -> None:
    access = made()
    assert access.decide(who("controller"), ask("approvals.approve")).allow
    assert access.decide(who("controller"), ask("runs.inbox")).allow
    for verb in ("runs.cancel", "resources.get", "log.show", "runs.start"):
        assert not access.decide(who("controller"), ask(verb)).allow


@pytest.mark.parametrize("verb", ["grants.add", "grants.remove", "access.who_can"])
def test_who_administers_a_namespace_passes_roles_in_it_on_and_in_no_other(verb: str) -> None:
    access = made()
    assert access.decide(who("admin"), ask(verb, "system", "namespace/acme")).allow
    for target in ("namespace/globex", "namespace/*", "namespace/system", "namespace/", "", "acme"):
        assert not access.decide(who("admin"), ask(verb, "system", target)).allow
    assert not access.decide(who("author"), ask("grants.add", "system", "namespace/acme")).allow
    assert not access.decide(who("admin"), ask("users.add", "system", "namespace/acme")).allow
    assert access.decide(who("admin", there="*"), ask(verb, "system", "namespace/*")).allow
    assert access.decide(who("admin", there="system"), ask(verb, "system", "namespace/acme")).allow


# --- roles that are resources


async def applied(access: RoleAccess, name: str, *rules: dict[str, Any]) -> None:
    spec = {"rules": list(rules)}
    assert problems(ROLE.schema, spec) == []
    resource = {"kind": "Role", "metadata": {"name": name}, "spec": spec}
    event = NewEvent(stream=STREAM + name, type="resource.applied", payload={"resource": resource})
    await access._store.append([event])
    await access.follow()


async def test_a_role_that_was_applied_counts_at_once_and_until_it_is_deleted() -> None:
    access, night = made(), who("night")
    assert not access.decide(night, ask("runs.cancel")).allow
    await applied(access, "night", {"verbs": ["runs.*"], "except": ["runs.patch"]})
    assert access.decide(night, ask("runs.cancel")).clauses == ("access.role.night",)
    assert not access.decide(night, ask("runs.patch")).allow
    await applied(access, "night", {"verbs": ["runs.*"], "effects": ["read"]})
    assert not access.decide(night, ask("runs.cancel")).allow
    gone = NewEvent(stream=STREAM + "night", type="resource.deleted", payload={"digest": None})
    await access._store.append([gone])
    await access.follow()
    for verb in ("runs.cancel", "runs.show", "approvals.approve"):
        assert not access.decide(night, ask(verb)).allow


async def test_a_role_for_some_kinds_is_none_for_others_or_where_none_is_said() -> None:
    access, tender = made(), who("tender")
    await applied(access, "tender", {"verbs": ["resources.*"], "kinds": ["Agent"]})
    for target in ("Agent/matcher", "agents/matcher", "AGENT/x"):
        assert access.decide(tender, ask("resources.delete", target=target)).allow
    for target in ("AgentWorkflow/x", "Role/x", "", "Agen/x", "/Agent", "x" * 9_999):
        assert not access.decide(tender, ask("resources.delete", target=target)).allow


async def test_a_built_in_role_cannot_be_replaced() -> None:
    access = made()
    await applied(access, "viewer", {"verbs": ["*"]})
    assert not access.decide(who("viewer"), ask("runs.cancel")).allow


# --- the second gate: policy of the namespace


@pytest.mark.parametrize(
    ("roles", "facts", "allowed"),
    [
        ((), {}, True),  # locally the owner of the files
        ((), {"surface": "rest"}, False),
        (("viewer",), {"surface": "rest"}, False),
        (("approver",), {"surface": "rest"}, False),
        (("operator",), {"surface": "rest"}, True),
        (("night",), {"surface": "rest"}, True),  # judged by access, which knows it
    ],
)
def test_policy_asks_for_a_role_of_what_comes_from_afar(
    roles: tuple[str, ...], facts: dict[str, Any], allowed: bool
) -> None:
    question = Question(
        actor="person:ada", roles=roles, action="runs.cancel", effect="write", input={}, facts=facts
    )
    assert policy().decide(question).allow is allowed


def test_a_service_operates_from_afar_by_its_role() -> None:
    question = Question(
        actor="service:nightly",
        roles=("operator",),
        action="runs.start",
        effect="write",
        input={},
        facts={"surface": "rest"},
    )
    assert policy().decide(question).allow


def from_afar(action: str, *roles: str) -> bool:
    effect = REGISTRY.action(action).spec.effect.value
    question = Question(
        actor="person:ada", roles=roles, action=action, effect=effect, input={}, facts=AFAR
    )
    decision = policy().decide(question)
    return decision.allow or "access.afar.no_role" not in decision.clauses


GATED = sorted(set(policy().query("data.access.afar.actions", {})) & set(REGISTRY.actions))


@pytest.mark.parametrize("verb", GATED)
def test_both_gates_say_the_same_of_every_role(verb: str) -> None:
    access = made()
    for role in (*BUILT_IN, "controller"):
        reached = access.decide(who(role, there="*"), ask(verb)).allow
        if role in BUILT_IN:
            assert from_afar(verb, role) is reached, role
        elif reached:
            assert from_afar(verb, role)
    assert not from_afar(verb)


def test_every_action_of_a_namespace_that_changes_something_passes_both_gates() -> None:
    changing = {
        name
        for name, one in REGISTRY.actions.items()
        if one.spec.effect.value not in READS
        and one.spec.cli != ()
        and not one.spec.local
        and one.spec.realm == "namespace"
    }
    # What plugins bring along is asked about by policy of their own.
    assert {name for name in changing - set(GATED) if name.split(".")[0] in ROOMS} == set()


# --- denials


async def denied(access: RoleAccess, principal: Principal, asked: Ask) -> Any:
    with pytest.raises((AccessDeniedError, NamespaceMissingError)) as error:
        await access.require(principal, asked)
    return error.value


async def events(access: RoleAccess) -> list[Any]:
    return [event.payload for event in await access._store.read(types=["access.denied"])]


async def test_denials_of_one_kind_are_one_event_a_minute_with_a_count() -> None:
    access = made()
    for _ in range(1_000):
        await denied(access, who("viewer"), ask("runs.cancel"))
    assert [one["count"] for one in await events(access)] == [1]
    access._clock._now += 60_000  # type: ignore[attr-defined]
    await denied(access, who("viewer"), ask("runs.retry"))
    told = [(one["verb"], one["count"]) for one in await events(access)]
    assert told == [("runs.cancel", 1), ("runs.cancel", 999), ("runs.retry", 1)]


async def test_nobody_floods_the_log_by_trying_many_things() -> None:
    access = made()
    for number in range(2_000):
        await denied(access, who("viewer"), ask("runs.list", f"n{number}"))
    told = await events(access)
    assert len(told) == 31
    assert (told[-1]["verb"], told[-1]["namespace"]) == ("*", "*")
    await access.close()
    assert sum(one["count"] for one in await events(access)) == 2_000


async def test_an_event_of_a_denial_says_who_what_where_and_why() -> None:
    access = made()
    principal = Principal(
        actor=Actor("service", "nightly"), grants={"acme": ("viewer",)}, credential="key:abc"
    )
    asked = Ask(verb="runs.cancel", effect="write", namespace="acme", surface="grpc")
    error = await denied(access, principal, asked)
    [told] = await events(access)
    assert (told["actor"], told["verb"], told["namespace"]) == (
        "service:nightly", "runs.cancel", "acme",
    )  # fmt: skip
    assert (told["credential"], told["surface"]) == ("key:abc", "grpc")
    assert told["clauses"] == ["access.roles.default_deny"] == error.details["clauses"]


async def test_a_namespace_of_others_is_denied_in_the_words_of_one_that_is_not_there() -> None:
    access = made()
    errors = [
        await denied(access, who("admin"), ask("runs.list", name))
        for name in ("globex", "nowhere", "system")
    ]
    assert len({str(error.to_dict()) for error in errors}) == 1
    assert isinstance(errors[0], NamespaceMissingError)
