"""The action: files of this machine, progress on large ones, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.ports import Clock
from agentsquad.operations.consistency.actions import CheckInput, CheckOutput, check
from agentsquad.operations.consistency.adapters.local import LocalHistoryFile
from agentsquad.operations.consistency.contract import HistoryFile, HistoryUnreadableError
from agentsquad.testing.clock import ManualClock


class Ctx:
    def __init__(self) -> None:
        self.ports: dict[Any, Any] = {HistoryFile: LocalHistoryFile(), Clock: ManualClock(0)}
        self.told: list[tuple[str, int | None, int | None]] = []

    def port(self, role: Any) -> Any:
        return self.ports[role]

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        self.told.append((text, done, total))


def written(path: Path, reads: int, last: int = 1) -> str:
    events = [{"process": 0, "type": kind, "f": "write", "value": 1} for kind in ("invoke", "ok")]
    for number in range(reads):
        value = last if number == reads - 1 else 1
        events.append({"process": 1, "type": "invoke", "f": "read", "value": None})
        events.append({"process": 1, "type": "ok", "f": "read", "value": value})
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return str(path)


def checked(path: str, **options: Any) -> tuple[CheckOutput, Ctx]:
    ctx = Ctx()
    found: CheckOutput = check(ctx, CheckInput(history=path, **options))
    return found, ctx


@pytest.mark.parametrize(
    ("last", "steps", "linearizable", "code"), [(1, 0, True, 0), (2, 0, False, 1), (1, 1, None, 10)]
)
def test_each_of_the_three_answers_is_printed_and_has_an_exit_code(
    last: int, steps: int, linearizable: bool | None, code: int, tmp_path: Path
) -> None:
    found, _ = checked(written(tmp_path / "h.jsonl", 3, last), steps=steps)
    assert (found.linearizable, found.exit_code) == (linearizable, code)
    plain = msgspec.to_builtins(found)
    assert {"linearizable", "witness", "operations", "keys", "elapsed_ms", "steps"} <= set(plain)
    assert plain["witness"]
    assert (found.events, found.operations, found.keys) == (8, 4, 1)


def test_a_large_file_tells_how_far_it_is_and_a_small_one_does_not_flicker(tmp_path: Path) -> None:
    _, ctx = checked(written(tmp_path / "h.jsonl", 2_000))
    told = [done for text, done, _ in ctx.told if text == "reading"]
    assert told == sorted(told) and told[-1] == 100
    assert 10 <= len(told) <= 20


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(HistoryUnreadableError) as caught:
        checked(str(tmp_path / "none.jsonl"))
    assert "No such file" in caught.value.message
    with pytest.raises(HistoryUnreadableError):
        checked("with\0zero")
