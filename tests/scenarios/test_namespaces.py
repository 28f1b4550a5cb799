"""Namespaces in one process: created, used apart, closed, deleted for good."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.namespaces import OpenNamespaces
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Engine, workflow
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.trust.access.contract import (
    NamespaceBusyError,
    NamespaceExistsError,
    NamespaceMissingError,
    NamespaceReservedError,
    NamespaceUnconfirmedError,
)


class Note(msgspec.Struct):
    """What is written down."""

    text: str = ""


@workflow("note")
async def note(ctx: Any, value: Note) -> Note:
    """Write something down."""
    return value


@workflow("hold")
async def hold(ctx: Any, value: Note) -> Note:
    """Wait for somebody."""
    return Note(await ctx.signal("go"))


REGISTRY = Registry((*plugins(), Plugin(name="notes", workflows=(note, hold))))
pytestmark = pytest.mark.slow
VARIABLES = {"SQUAD_USER": "ada", "SQUAD_MODELS": "off"}


@pytest.fixture(scope="module")
def policy() -> PolicyEngine:
    settings = read(VARIABLES, home="nowhere")
    return Squad(settings, REGISTRY).world.policy  # slow to compile, never changes


def opened(home: Path, policy: PolicyEngine, namespace: str = "default") -> Squad:
    squad = Squad(read(VARIABLES, home=str(home), namespace=namespace), REGISTRY)
    squad.ports.put(Clock, ManualClock(1_795_440_000_000))
    squad.ports.put(Entropy, SeededEntropy(namespace))
    squad.ports.put(PolicyEngine, policy)
    return squad


@pytest.fixture
async def squad(tmp_path: Path, policy: PolicyEngine) -> AsyncIterator[Squad]:
    squad = opened(tmp_path / "home", policy)
    yield squad
    await squad.close()


async def test_what_happens_in_one_namespace_is_in_no_other_log(squad: Squad) -> None:
    for name in ("acme", "globex"):
        await squad.invoke("namespaces.create", {"name": name})
    acme = await squad.namespaces.use("acme")
    said = '{"text": "only ours"}'
    ran = await acme.invoke("runs.start", {"workflow": "note", "input": said, "key": "k"})
    assert ran.status == "completed"
    for name in ("default", "globex"):
        other = await squad.namespaces.use(name)
        assert (await other.invoke("runs.list", {})).items == []
        with pytest.raises(SquadError) as foreign:
            await other.invoke("runs.show", {"run": ran.run})
        with pytest.raises(SquadError) as unknown:
            await other.invoke("runs.show", {"run": "z" * len(ran.run)})
        assert foreign.value.code == unknown.value.code
    # The same workflow, key and input elsewhere is another run of another log.
    globex = await squad.namespaces.use("globex")
    again = await globex.invoke("runs.start", {"workflow": "note", "input": said, "key": "k"})
    assert again.status == "completed"
    assert acme.world.store is not globex.world.store


async def test_what_concerns_everybody_is_kept_in_the_system_log(squad: Squad) -> None:
    await squad.invoke("namespaces.create", {"name": "acme", "description": "ACME Ltd."})
    system = await squad.namespaces.use("system")
    [event] = await system.world.store.read(types=["namespace.created"])
    assert (event.actor, event.payload["description"]) == ("person:ada", "ACME Ltd.")
    assert squad.unkept  # and nothing was made of the default one
    acme = await squad.namespaces.use("acme")
    listed = await acme.invoke("namespaces.list", {})  # from any of them
    assert [one.name for one in listed.items] == ["default", "system", "acme"]


async def test_a_namespace_that_was_not_created_cannot_be_opened(
    squad: Squad, policy: PolicyEngine, tmp_path: Path
) -> None:
    await squad.invoke("namespaces.create", {"name": "acme"})
    with pytest.raises(NamespaceMissingError) as error:
        await squad.namespaces.require("acne")
    assert error.value.hint == "did you mean 'acme'?"
    with pytest.raises(NamespaceMissingError) as error:
        await squad.namespaces.use("acne")
    assert error.value.hint is None  # who asks from afar learns no names
    other = opened(tmp_path / "home", policy, "nobody")
    with pytest.raises(NamespaceMissingError):
        await other.invoke("runs.list", {})
    await other.close()
    assert not (tmp_path / "home" / "namespaces" / "nobody").exists()


async def test_to_look_makes_nothing(squad: Squad, tmp_path: Path) -> None:
    listed = await squad.invoke("namespaces.list", {})
    assert [one.name for one in listed.items] == ["default", "system"]
    with pytest.raises(NamespaceMissingError):
        await squad.namespaces.use("acme")
    assert not (tmp_path / "home").exists()


async def test_a_folder_that_somebody_made_is_no_namespace(squad: Squad, tmp_path: Path) -> None:
    await squad.invoke("namespaces.create", {"name": "acme"})
    home = tmp_path / "home" / "namespaces"
    shutil.copytree(home / "acme", home / "planted")
    with pytest.raises(NamespaceMissingError):
        await squad.namespaces.use("planted")


async def test_a_namespace_is_deleted_only_when_its_runs_have_ended_and_it_is_named_twice(
    squad: Squad,
) -> None:
    await squad.invoke("namespaces.create", {"name": "acme"})
    acme = await squad.namespaces.use("acme")
    held = await acme.invoke("runs.start", {"workflow": "hold", "wait": False})
    with pytest.raises(NamespaceUnconfirmedError):
        await squad.invoke("namespaces.delete", {"name": "acme", "yes": "acne"})
    with pytest.raises(NamespaceBusyError, match=held.run):
        await squad.invoke("namespaces.delete", {"name": "acme", "yes": "acme"})
    await acme.invoke("runs.cancel", {"run": held.run, "reason": "moving out"})
    await acme.world.ports.get(Engine).wait(held.run)
    await squad.invoke("namespaces.delete", {"name": "acme", "yes": "acme"})
    with pytest.raises(NamespaceMissingError):
        await squad.namespaces.use("acme")


async def test_a_name_is_never_given_twice_and_its_log_stays(
    squad: Squad, tmp_path: Path, policy: PolicyEngine
) -> None:
    await squad.invoke("namespaces.create", {"name": "acme"})
    acme = await squad.namespaces.use("acme")
    await acme.invoke("runs.start", {"workflow": "note"})
    await squad.invoke("namespaces.delete", {"name": "acme", "yes": "acme"})
    for name in ("acme", "default", "system"):
        with pytest.raises(NamespaceExistsError):
            await squad.invoke("namespaces.create", {"name": name})
    for name in ("default", "system"):
        with pytest.raises(NamespaceReservedError):
            await squad.invoke("namespaces.delete", {"name": name, "yes": name})
    kept = opened(tmp_path / "home" / "namespaces" / "acme", policy)  # as a home of its own
    assert len((await kept.invoke("runs.list", {})).items) == 1
    assert (await kept.invoke("log.verify", {})).events > 0  # raises what does not verify
    await kept.close()


async def test_of_those_nobody_uses_only_so_many_stay_open(tmp_path: Path, policy: Any) -> None:
    first = opened(tmp_path / "home", policy)
    estate = OpenNamespaces(first, Squad, idle_max=2)
    first._estate = estate
    names = [f"n{number}" for number in range(5)]
    for name in names:
        await first.invoke("namespaces.create", {"name": name})
    async with estate.lease("n0") as used:
        for name in names[1:]:
            async with estate.lease(name):
                pass
        assert "n0" in estate.opened  # it is in use
        assert [name for name in estate.opened if name in names[1:]] == ["n3", "n4"]
        assert await used.world.store.size() == 0
    async with estate.lease("n1") as again:
        assert await again.world.store.size() == 0
    running = await estate.use("n2")
    await running.invoke("runs.start", {"workflow": "note"})
    for name in names:
        async with estate.lease(name):
            pass
    assert "n2" in estate.opened  # its runs go on
    await first.close()
    assert estate.opened == ()


async def test_what_another_process_deleted_is_closed_here_when_its_last_user_has_ended(
    squad: Squad, policy: PolicyEngine, tmp_path: Path
) -> None:
    await squad.invoke("namespaces.create", {"name": "acme"})
    other = opened(tmp_path / "home", policy)
    async with squad.namespaces.lease("acme") as place:
        await other.invoke("namespaces.delete", {"name": "acme", "yes": "acme"})
        with pytest.raises(NamespaceMissingError):
            async with squad.namespaces.lease("acme"):
                pass
        assert "acme" in squad.namespaces.opened
        assert await place.world.store.size() == 0  # still usable to its end
    assert "acme" not in squad.namespaces.opened
    await other.invoke("namespaces.create", {"name": "globex"})
    async with squad.namespaces.lease("globex") as place:  # known here at once
        assert await place.world.store.size() == 0
    await other.close()
