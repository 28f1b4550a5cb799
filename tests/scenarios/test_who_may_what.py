"""Who may what, asked of a real installation: accounts, grants, roles that are
resources, questions in an inbox; and that what is told is what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeniedError, InvalidError, MissingError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Engine, workflow
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.testing.clock import settle

RULES = """package vault
actions := {"approvals.give"}
ours if input.input.action == "runs.show"
allow contains {"clause": "vault.keeper", "reason": "keepers open the vault"} if {
    ours
    some role in input.roles
    role in input.facts.roles
}
"""


class Door(msgspec.Struct):
    """Which door."""

    name: str = "vault"


@workflow("open")
async def opening(ctx: Any, value: Door) -> Door:
    """Open a door when a keeper says so."""
    await ctx.approve(
        "runs.show",
        {"run": value.name},
        evidence={},
        roles=("keeper",),
        because="it is a vault",
        requester="person:ada",
    )
    return value


VAULT = Plugin(name="vault", workflows=(opening,), policies={"vault/vault.rego": RULES})
REGISTRY = Registry((*plugins(), VAULT))
pytestmark = pytest.mark.slow
VARIABLES = {"SQUAD_USER": "root", "SQUAD_MODELS": "off"}
AFAR = {"surface": "rest"}


@pytest.fixture(scope="module")
def policy() -> PolicyEngine:
    return Squad(read(VARIABLES, home="nowhere"), REGISTRY).world.policy


@pytest.fixture
async def squad(tmp_path: Path, policy: PolicyEngine) -> AsyncIterator[Squad]:
    """ada operates acme and keeps its vault, bob keeps it, eve only looks, and
    joe administers everything; dan kept it and has left."""
    squad = Squad(read(VARIABLES, home=str(tmp_path / "home")), REGISTRY)
    squad.ports.put(Clock, ManualClock(1_795_440_000_000))
    squad.ports.put(Entropy, SeededEntropy("who"))
    squad.ports.put(PolicyEngine, policy)
    await squad.invoke("namespaces.create", {"name": "acme"})
    for name in ("ada", "bob", "eve", "joe", "dan"):
        await squad.invoke("users.add", {"name": name})
    for name, role, where in (
        ("ada", "operator", "acme"),
        ("ada", "keeper", "acme"),
        ("bob", "keeper", "acme"),
        ("eve", "viewer", "acme"),
        ("joe", "admin", "*"),
        ("dan", "keeper", "acme"),
        ("dan", "operator", "acme"),
    ):
        await squad.invoke("grants.add", {"name": name, "role": role, "where": where})
    await squad.invoke("users.disable", {"name": "dan", "reason": "left"})
    yield squad
    await squad.close()


async def who(squad: Squad, verb: str, target: str = "", **more: Any) -> list[tuple[str, ...]]:
    value = {"verb": verb, "target": target, **more}
    told = await squad.invoke("access.who_can", value)
    return [(one.namespace, one.actor.partition(":")[2], *one.by) for one in told.items]


async def test_those_who_may_are_told_with_the_role_and_where_it_was_granted(squad: Squad) -> None:
    everywhere = [("acme", "ada", "operator")] + [
        (name, "joe", "admin") for name in ("acme", "default", "system")
    ]
    assert await who(squad, "runs.cancel") == everywhere
    assert await who(squad, "runs cancel", where="acme") == everywhere[:2]
    [by_wildcard] = [
        one
        for one in (await squad.invoke("access.who_can", {"verb": "runs.cancel"})).items
        if one.namespace == "default"
    ]
    assert by_wildcard.granted == ("*",)


async def test_what_concerns_the_installation_is_asked_in_system_alone(squad: Squad) -> None:
    assert await who(squad, "users.add") == [("system", "joe", "admin")]
    with pytest.raises(InvalidError, match="concerns the installation"):
        await who(squad, "users.add", where="acme")


async def test_who_passes_roles_on_in_a_namespace_is_who_administers_it(squad: Squad) -> None:
    await squad.invoke("grants.add", {"name": "eve", "role": "admin", "where": "acme"})
    both = [("acme", "eve", "admin"), ("acme", "joe", "admin")]
    assert await who(squad, "grants.add", where="acme") == both
    assert await who(squad, "grants.add", where="default") == [("default", "joe", "admin")]
    assert await who(squad, "grants.add") == [("system", "joe", "admin")]


async def test_a_verb_and_a_kind_mean_an_action_on_such_a_resource(squad: Squad) -> None:
    role = {"spec": {"rules": [{"verbs": ["resources.*"], "kinds": ["Agent"]}]}}
    system = await squad.namespaces.use("system")
    await system.invoke("resources.put", {"kind": "Role", "name": "tender", "resource": role})
    await squad.invoke("grants.add", {"name": "eve", "role": "tender", "where": "acme"})
    assert ("acme", "eve", "tender") in await who(squad, "delete", "agent/matcher")
    assert ("acme", "eve", "tender") not in await who(squad, "delete", "pool/builders")


async def test_of_a_question_those_are_told_whom_policy_lets_answer_and_they_can(
    squad: Squad,
) -> None:
    acme = await squad.namespaces.use("acme")
    engine = acme.world.ports.get(Engine)
    run = await engine.start("open", {"name": "vault"}, actor="person:ada")
    while not await engine.inbox(run):
        await settle()
    [item] = (await acme.invoke("runs.inbox", {})).items
    told = await squad.invoke("access.who_can", {"verb": "approve", "target": item.id})
    # ada keeps it too, but asked for it; joe may approve, but is no keeper.
    assert [(one.actor, one.by, one.because) for one in told.items] == [
        ("person:bob", ("keeper",), "keepers open the vault")
    ]
    value = {"item": item.id, "reason": "seen"}
    for name, roles in (("joe", ("admin",)), ("eve", ("viewer",)), ("ada", ("keeper",))):
        with pytest.raises(DeniedError):
            await acme.invoke(
                "approvals.approve", value, actor=Actor("person", name, roles), facts=AFAR
            )
    bob = Actor("person", "bob", ("keeper",))
    done = await acme.invoke("approvals.approve", value, actor=bob, facts=AFAR)
    assert done.approver == "person:bob"
    assert (await engine.wait(run)).status == "completed"
    with pytest.raises(MissingError, match="no question"):
        await who(squad, "approve", item.id)


async def test_one_account_is_checked_and_the_rule_is_named(squad: Squad) -> None:
    async def check(account: str, action: str, where: str = "acme") -> Any:
        value = {"account": account, "action": action, "where": where}
        return await squad.invoke("access.check", value)

    yes = await check("ada", "runs cancel")
    assert (yes.allow, yes.exit_code, yes.clauses) == (True, 0, ("access.role.operator",))
    no = await check("ada", "apply")
    assert (no.allow, no.exit_code, no.action) == (False, 4, "resources.apply")
    assert (await check("ada", "runs.cancel", "default")).clauses == ("access.roles.none",)
    assert not (await check("dan", "runs.cancel")).allow  # he may not sign in any more
    assert not (await check("nobody", "runs.list")).allow


async def test_a_slip_is_answered_with_the_nearest_verb(squad: Squad) -> None:
    with pytest.raises(MissingError) as error:
        await who(squad, "runs.cancl")
    assert error.value.hint == "did you mean 'runs.cancel'?"
    with pytest.raises(MissingError):
        await who(squad, "runs.cancel", where="acne")
