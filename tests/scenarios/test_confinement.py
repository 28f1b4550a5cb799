"""On a server no action opens a file outside its namespace's own folder,
whatever a workflow's input or a manifest names."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Engine, workflow
from agentsquad.runtime.engine.interceptors.confine import PathConfinedError

ORDER = "ISA*00*"


@workflow("open")
async def opening(ctx: Any, value: dict[str, str]) -> Any:
    """Open a file that the input names."""
    return await ctx.call("edi.show", {"files": [value["path"]]})


REGISTRY = Registry((*plugins(), Plugin(name="opening", workflows=(opening,))))
pytestmark = pytest.mark.slow
VARIABLES = {"SQUAD_USER": "ada", "SQUAD_MODELS": "off"}


@pytest.fixture(scope="module")
def policy() -> PolicyEngine:
    return Squad(read(VARIABLES, home="nowhere"), REGISTRY).world.policy


@pytest.fixture
async def squad(tmp_path: Path, policy: PolicyEngine) -> AsyncIterator[Squad]:
    squad = Squad(read(VARIABLES, home=str(tmp_path / "home")), REGISTRY)
    squad.ports.put(PolicyEngine, policy)
    for name in ("acme", "globex"):
        await squad.invoke("namespaces.create", {"name": name})
    for name in ("acme", "globex"):
        folder = tmp_path / "home" / "namespaces" / name / "files"
        folder.mkdir()
        (folder / "order.edi").write_text(ORDER)
    yield squad
    await squad.close()


async def opened_by_a_run(place: Squad, path: Path | str) -> Any:
    engine = place.world.ports.get(Engine)
    return await engine.wait(await engine.start("open", {"path": str(path)}))


async def test_a_run_opens_what_lies_in_its_namespaces_own_folder_and_nothing_else(
    squad: Squad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squad.confine()
    acme = await squad.namespaces.use("acme")
    home = tmp_path / "home" / "namespaces"
    link = home / "acme" / "files" / "link.edi"
    link.symlink_to(home / "globex" / "files" / "order.edi")
    foreign = [
        home / "globex" / "files" / "order.edi",
        home / "globex" / "keys" / "log.key",
        home / "acme" / "keys" / "log.key",
        home / "acme" / "files" / ".." / ".." / "globex" / "files" / "order.edi",
        home / "acme" / "files2",
        link,
        "/etc/passwd",
        "-",
        "order.edi",
        "",
    ]
    monkeypatch.chdir(home / "globex" / "files")
    for path in foreign:
        ended = await opened_by_a_run(acme, path)
        assert (ended.status, ended.error["code"]) == ("failed", "door.path"), path
        assert "globex" not in ended.error["message"]
    ended = await opened_by_a_run(acme, home / "acme" / "files" / "order.edi")
    assert ended.error is None or ended.error["code"] != "door.path"


async def test_a_folder_in_the_input_of_a_shipped_workflow_is_confined_too(
    squad: Squad, tmp_path: Path
) -> None:
    squad.confine()
    acme = await squad.namespaces.use("acme")
    keys = tmp_path / "home" / "namespaces" / "globex" / "keys"
    for given in (f'{{"folder": "{keys}"}}', str(keys)):
        with pytest.raises(PathConfinedError):
            value = {"workflow": "purchase-to-pay", "input": given}
            await acme.invoke("runs.start", value)
    assert await acme.world.blobs.digests() == []


def manifest(folder: Path) -> Path:
    path = folder / "agent.yaml"
    path.write_text(
        "apiVersion: agentsquad.dev/v1\nkind: Agent\nmetadata: {name: a}\nspec: {role: r}\n"
    )
    return path


async def test_files_that_came_with_a_call_are_opened(squad: Squad) -> None:
    squad.confine()
    acme = await squad.namespaces.use("acme")
    with tempfile.TemporaryDirectory(prefix="squad-call-") as folder:
        path = manifest(Path(folder))
        done = await acme.invoke("resources.apply", {"file": [str(path)]})
        assert done.applied[0].changed
    with pytest.raises(PathConfinedError):
        await acme.invoke("resources.apply", {"file": ["/etc/hostname"]})


async def test_locally_every_file_of_the_owner_is_opened(squad: Squad, tmp_path: Path) -> None:
    path = tmp_path / "anywhere.edi"
    path.write_text(ORDER)
    try:
        await squad.invoke("edi.show", {"files": [str(path)]})
    except SquadError as error:
        assert error.code != "door.path"
