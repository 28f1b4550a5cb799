"""What starting costs: the program loads no library before it is used, and
every optional one may be absent.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = (
    "apsw",
    "cel",
    "cryptography",
    "httpx",
    "numpy",
    "pydantic",
    "regorus",
    "safetensors",
    "temporalio",
    "tokenizers",
    "xllamacpp",
)
EXTRAS = ("cel", "numpy", "safetensors", "temporalio", "tokenizers", "xllamacpp")

HIDE = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""

EVERYTHING = """
import importlib, pkgutil
import agentsquad
for module in pkgutil.walk_packages(agentsquad.__path__, "agentsquad."):
    if ".adapters" not in module.name:
        importlib.import_module(module.name)
from agentsquad.assembly.catalogue import plugins
from agentsquad.kernel.registry import Registry
names = sorted(Registry(plugins()).actions)
"""


def python(code: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "start",
    [
        "import agentsquad",
        "from agentsquad.assembly.catalogue import plugins\nplugins()",
    ],
    ids=["the package", "every plugin mounted"],
)
def test_starting_loads_no_library_that_is_not_needed_yet(start: str) -> None:
    loaded = python(f"{start}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")
    assert [name for name in loaded if name in HEAVY] == []
    assert "agentsquad" in loaded


def test_the_program_is_whole_without_any_extra() -> None:
    show = "\nimport json\nprint(json.dumps(names))"
    without = python(f"HIDDEN = {set(EXTRAS)}\n{HIDE}\n{EVERYTHING}{show}")
    assert without == python(f"{EVERYTHING}{show}")
    assert without


@pytest.mark.parametrize("name", EXTRAS)
def test_hiding_a_module_hides_it(name: str) -> None:
    tried = f"try:\n    import {name}\n    print('true')\nexcept ImportError:\n    print('false')"
    assert python(f"HIDDEN = {set(EXTRAS)}\n{HIDE}\n{tried}") is False
