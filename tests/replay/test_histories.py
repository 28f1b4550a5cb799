"""Logs of every earlier version open, verify and replay on this one.

`tools/record_history.py` writes a version's folder: its home as it lay on disk,
and each run as a JSON history. A failure here means that users' logs would no
longer replay; the answer is to mend the code, never the folder.
"""

from __future__ import annotations

import importlib.util
import io
import json
import lzma
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import agentsquad
from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.registry import Registry
from agentsquad.testing import assert_replays, read_history

HERE = Path(__file__).parent
HISTORIES = HERE / "histories"
VERSIONS = sorted(path.name for path in HISTORIES.iterdir() if path.is_dir())
RUNS = [
    (version, path.name)
    for version in VERSIONS
    for path in sorted((HISTORIES / version).glob("*.json"))
    if path.name != "expected.json"
]
GOOD = ("identical", "compatible")


def load(name: str) -> ModuleType:
    """Return a module beside this one."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


zoo = load("zoo")


def unpack(version: str, folder: Path) -> Path:
    data = lzma.decompress((HISTORIES / version / "home.tar.xz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def expected(version: str) -> dict[str, dict[str, Any]]:
    return json.loads((HISTORIES / version / "expected.json").read_text())


def test_this_version_has_recorded_its_own_log():
    assert agentsquad.__version__ in VERSIONS, "run tools/record_history.py"
    assert len(VERSIONS) >= 3


@pytest.mark.parametrize(("version", "name"), RUNS, ids=["/".join(one) for one in RUNS])
def test_a_recorded_history_replays(version, name):
    history = read_history(HISTORIES / version / name)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(assert_replays, history, plugins=[zoo.plugin]).result()
    facts = expected(version)[name.removesuffix(".json")]
    assert told.events == facts["events"] == history.count
    assert told.verdict in GOOD


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_recorded_home_opens_verifies_and_replays(version, tmp_path):
    home = unpack(version, tmp_path / "home")
    settings = read({"SQUAD_HOME": str(home), "SQUAD_USER": "ada"})
    squad = Squad(settings, Registry([*plugins(), zoo.plugin]))
    try:
        checked = await squad.invoke("log.verify", {})
        assert checked.valid and not checked.findings and checked.events > 100
        listed = await squad.invoke("runs.list", {"all": True, "limit": 500})
        known = {one.id for one in listed.items}
        for name, facts in expected(version).items():
            assert facts["run"] in known, name
            told = await squad.invoke("runs.replay", {"run": facts["run"]})
            assert (told.verdict in GOOD, told.reason) == (True, None), name
            assert told.events == facts["events"], name
        waiting = await squad.invoke("runs.inbox", {})
        assert [one.run for one in waiting.items] == [expected(version)["open"]["run"]]
    finally:
        await squad.close()


@pytest.mark.slow
def test_what_the_recording_holds_is_still_what_this_version_writes(tmp_path):
    """A new kind of event or field shows here; then record this version anew,
    unless it was released."""
    src = str(Path(agentsquad.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(HERE / "recording.py"), str(tmp_path / "home")],
        env={"PYTHONPATH": src, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = set(json.loads(done.stdout.splitlines()[-1]).values())
    assert names == set(expected(agentsquad.__version__)) - {"flagship"}
