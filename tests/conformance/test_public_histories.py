"""Public histories with known verdicts: the checker agrees with every one."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import tarfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from agentsquad.operations.consistency.contract import History
from agentsquad.operations.consistency.verdict import Bounds, Verdict, judge

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).with_name("histories")
VERDICTS = json.loads((FOLDER / "verdicts.json").read_text())


def load(path: Path) -> ModuleType:
    name = path.stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


kit = load(Path(__file__).with_name("simulated_history.py"))
jepsen = load(ROOT / "tools" / "jepsen_history.py")


@cache
def texts() -> dict[str, str]:
    """Return the archive's files by the ends of their names."""
    with tarfile.open(fileobj=io.BytesIO((FOLDER / "porcupine.tar.xz").read_bytes())) as archive:
        return {
            Path(member.name).stem: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive
            if member.isfile()
        }


def history_of(name: str, model: str) -> History:
    history: History = kit.recorded(list(jepsen.events(texts()[name])), model)
    return history


def checked(history: History) -> Verdict:
    return judge(history, Bounds(lambda: 0.0, 1.0, steps=50_000))


CASES = [(model, name) for model, names in VERDICTS.items() for name in names]


def test_the_archive_has_its_licence_and_every_history() -> None:
    assert "MIT License" in texts()["LICENSE"]
    assert {name for _, name in CASES} == {
        name for name, text in texts().items() if name not in ("LICENSE", "README") and text
    }
    assert len(CASES) == 108


@pytest.mark.parametrize(("model", "name"), CASES)
def test_a_public_history_is_judged_as_its_publishers_say(model: str, name: str) -> None:
    history = history_of(name, model)
    found = checked(history)
    assert found.linearizable is VERDICTS[model][name]
    for order in found.orders:
        assert kit.explains(order.operations, history, order.key)
    if found.explanation is not None:
        assert found.explanation.exact
        assert found.explanation.operation.value not in found.explanation.possible


@pytest.mark.parametrize("name", [n for n, right in VERDICTS["register"].items() if not right][:20])
def test_what_an_explanation_says_was_possible_would_have_been(name: str) -> None:
    """Up to the operation that is named, the history is then linearizable."""
    history = history_of(name, "register")
    why = checked(history).explanation
    assert why is not None and why.operation.end is not None and why.possible_all

    def with_read(value: Any) -> bool | None:
        end = why.operation.end
        operations = [
            msgspec.structs.replace(one, f="read", value=value) if one == why.operation
            else msgspec.structs.replace(one, end=None) if one.end and one.end > end
            else one
            for one in history.operations
            if one.begin < end
        ]  # fmt: skip
        return checked(msgspec.structs.replace(history, operations=operations)).linearizable

    assert all(with_read(value) for value in why.possible)
    assert not any(with_read(v) for v in (None, 0, 1, 2, 3, 4) if v not in why.possible)
