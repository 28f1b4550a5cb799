"""The tidy check finds what it is for, and nothing in an orderly project."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tidy = load("tidy")
rewrap = load("rewrap")


def project(root: Path, files: dict[str, str]) -> list[str]:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return tidy.check(root)


DESK = "/ho" + "me/ann/orders.txt"
HOST = "https://files.python" + "hosted.org/x.whl"

FAULTY = {
    "src/a/utils.py": "says nothing",
    "src/a/long.py": "lines, at most 600",
    "src/a/function.py": "has 72 lines",
    "src/a/parameter.py": "takes 7 parameters",
    "docs/desk.md": "belongs to one machine",
    "requirements/base.txt": "belongs to one machine",
    "changes/noted.md": "name it <slug>",
    "changes/short.added.md": "one whole sentence",
    "tests/b/test_same.py": "same file name",
}
TEXTS = {
    "src/a/utils.py": "",
    "src/a/long.py": "x = 1\n" * 601,
    "src/a/function.py": "def f() -> None:\n" + "    pass\n" * 71,
    "src/a/parameter.py": "def f(a, b, c, d, e, *, g): ...\nclass C:\n"
    "    def m(self, a, b, c, d, e, f): ...\n    def n(self, a, b, c, d, e, f, g): ...\n",
    "docs/desk.md": f"Open {DESK} first.\n",
    "requirements/base.txt": f"--find-links {HOST}\n",
    "changes/noted.md": "Something was added for everybody.\n",
    "changes/short.added.md": "Added\n",
    "tests/a/test_same.py": "",
    "tests/b/test_same.py": "",
}


@pytest.fixture(autouse=True)
def no_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exceptions of this project are not those of the projects made
    here.
    """
    monkeypatch.setattr(tidy, "LONG_FILES", {})
    monkeypatch.setattr(tidy, "LARGE_FUNCTIONS", {})


def test_every_kind_of_fault_is_reported_once(tmp_path: Path) -> None:
    found = project(tmp_path, TEXTS)
    for name, words in FAULTY.items():
        assert [line for line in found if line.startswith(name) and words in line], (name, found)
    assert len(found) == len(FAULTY), found


def test_an_orderly_project_has_no_fault(tmp_path: Path) -> None:
    files = {
        "src/a/order.py": "def settle(order): ...\n",
        "docs/page.md": "Mount it at /srv/data or /root of the tree; see https://example.com/x.\n",
        "changes/first-run.added.md": "A run continues after `kill -9`.\n",
    }
    assert project(tmp_path, files) == []


def test_an_exception_for_a_file_that_is_gone_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tidy.LONG_FILES, "src/gone.py", "was long once")
    assert any("gone" in line for line in project(tmp_path, {"src/a.py": ""}))


LONG = "a sentence that is a good deal longer than the eighty columns " * 2
SOURCE = f'''"""{LONG}end."""

# {LONG}end.
TEXT = """
# {LONG}
"""


def f():
    """{LONG}

    - {LONG}
    """
'''


def test_prose_is_wrapped_and_nothing_else_is_touched() -> None:
    wrapped = rewrap.rewrap(SOURCE)
    lines = wrapped.split("\n")
    long = [line for line in lines if len(line) > 80]
    assert long == [f"# {LONG}", f"    - {LONG}"]
    assert lines[0].startswith('"""a sentence') and lines[2] == '"""'
    assert rewrap.rewrap(wrapped) == wrapped
