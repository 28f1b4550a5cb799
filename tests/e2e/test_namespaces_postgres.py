"""Namespaces in one PostgreSQL database: a schema each, known to every
machine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Registry
from agentsquad.trust.access.contract import NamespaceMissingError

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
REGISTRY = Registry(plugins())
AGENT = {"spec": {"role": "a clerk"}}


def opened(home: Path, url: str, namespace: str = "default") -> Squad:
    """Open it as a machine with this home does."""
    variables = {"SQUAD_USER": "ada", "SQUAD_MODELS": "off", "SQUAD_STORE": url}
    return Squad(read(variables, home=str(home), namespace=namespace), REGISTRY)


def schemas(url: str) -> set[str]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as admin:
        rows = admin.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'squad%'")
        return {str(name) for (name,) in rows}


async def test_each_namespace_is_a_schema_and_another_machine_finds_it(
    tmp_path: Path, postgresql_database: str
) -> None:
    url = postgresql_database
    one = opened(tmp_path / "one", url)
    await one.invoke("namespaces.create", {"name": "acme-west"})
    await one.invoke("namespaces.create", {"name": "globex"})
    acme = await one.namespaces.use("acme-west")
    value = {"kind": "Agent", "name": "clerk", "resource": AGENT}
    await acme.invoke("resources.put", value)
    await acme.world.blobs.put(b"only ours")
    assert schemas(url) == {"squad__system", "squad__acme_west", "squad__globex"}

    # Another machine: nothing of it lies in its home.
    other = opened(tmp_path / "other", url, "acme-west")
    found = await other.invoke("resources.get", {"kind": "agent", "name": "clerk"})
    assert found["spec"] == AGENT["spec"]
    globex = await other.namespaces.use("globex")
    assert await globex.world.store.size() == 0
    assert await globex.world.blobs.digests() == []
    with pytest.raises(SquadError, match="no Agent named"):
        await globex.invoke("resources.get", {"kind": "agent", "name": "clerk"})

    # What one machine deletes is gone on the other, and its schema stays.
    await other.invoke("namespaces.delete", {"name": "globex", "yes": "globex"})
    third = opened(tmp_path / "one", url, "globex")
    with pytest.raises(NamespaceMissingError):
        await third.invoke("runs.list", {})
    assert "squad__globex" in schemas(url)
    for squad in (one, other, third):
        await squad.close()


async def test_keys_of_persons_are_apart_too(tmp_path: Path, postgresql_database: str) -> None:
    one = opened(tmp_path, postgresql_database)
    base = one.settings
    variables = {**base.environment, "SQUAD_KEYS": postgresql_database + "?schema=squad_keys"}
    named = msgspec.structs.replace(base, environment=variables)
    squad = Squad(named, REGISTRY)
    await squad.invoke("namespaces.create", {"name": "acme"})
    acme = await squad.namespaces.use("acme")
    assert await acme.world.store.size() == 0
    assert {"squad_keys__acme", "squad__acme"} <= schemas(postgresql_database)
    for one_of in (one, squad):
        await one_of.close()
