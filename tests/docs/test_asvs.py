"""The list against OWASP ASVS says what is so: every requirement has a line,
and every test and file that it names is there."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def asvs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("asvs", ROOT / "tools" / "asvs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def found(asvs: ModuleType) -> dict[str, Any]:
    return tomllib.loads(asvs.SOURCE.read_text(encoding="utf-8"))


def test_every_requirement_has_a_line_and_what_it_names_is_there(
    asvs: ModuleType, found: dict[str, Any]
) -> None:
    levels = asvs.ids_of(found)
    # As many as the standard has: 70 of level 1 and 183 more of level 2.
    assert [list(levels.values()).count(one) for one in asvs.LEVELS] == [70, 183]
    assert {one.partition(".")[0] for one in levels} == {str(number) for number in range(1, 18)}
    assert asvs.faults_of(found) == []


def test_the_page_is_current(asvs: ModuleType, found: dict[str, Any]) -> None:
    text = asvs.page(found)
    assert asvs.PAGE.read_text(encoding="utf-8") == text, "run make docs"
    counts = text[text.index("**all**") :].partition("\n")[0].split("|")
    assert sum(int(one) for one in counts[1:5]) == int(counts[5]) == len(found["requirements"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"verdict": "tested", "tests": ["tests/docs/test_asvs.py::test_nothing"]}, "is not in"),
        ({"verdict": "tested", "tests": ["tests/docs/none.py::test_x"]}, "is not there"),
        ({"verdict": "tested", "tests": ["tools/asvs.py::main"]}, "is no test"),
        ({"verdict": "tested", "why": "trust us"}, "tests is missing"),
        ({"verdict": "by design", "file": "src/none.py", "why": "so"}, "is not there"),
        ({"verdict": "by design", "file": "README.md"}, "why is missing"),
        ({"verdict": "not offered", "why": "so", "tests": ["x"]}, "does not belong"),
        ({"verdict": "open"}, "missing is missing"),
        ({"verdict": "fine"}, "is no verdict"),
    ],
)
def test_a_line_that_promises_what_is_not_there_is_named(
    asvs: ModuleType, found: dict[str, Any], line: dict[str, Any], said: str
) -> None:
    found["requirements"]["1.1.1"] = {"asks": "something", **line}
    del found["requirements"]["2.1.1"]
    found["requirements"]["99.1.1"] = {"asks": "x", "verdict": "open", "missing": "it"}
    faults = asvs.faults_of(found)
    assert any(one.startswith("1.1.1: ") and said in one for one in faults), faults
    assert "2.1.1 has no line" in faults and "99.1.1 is not in the standard" in faults
