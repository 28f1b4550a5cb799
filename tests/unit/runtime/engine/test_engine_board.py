from __future__ import annotations

import os
from pathlib import Path

import msgspec

from agentsquad.runtime.engine.adapters.board import FileBoard, Shown
from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.contract import Load
from agentsquad.testing import ManualClock, SeededEntropy

LOAD = Load(
    limit=8, at_work=3, waiting=2, delay_ms=1.5, starts_s=4.0, admitted=9, refused=1,
    overloaded=True, at_ms=7,
)  # fmt: skip


def test_what_one_process_shows_another_reads(tmp_path: Path) -> None:
    FileBoard(tmp_path / "engine.load").post(LOAD)

    assert FileBoard(tmp_path / "engine.load").read() == LOAD


def test_nothing_is_read_where_nothing_is_shown(tmp_path: Path) -> None:
    board = FileBoard(tmp_path / "engine.load")
    assert board.read() is None
    board.post(LOAD)
    board.clear()
    board.clear()

    assert board.read() is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_counts_for_nothing(tmp_path: Path) -> None:
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    (tmp_path / "engine.load").write_bytes(msgspec.json.encode(Shown(gone, LOAD)))

    assert FileBoard(tmp_path / "engine.load").read() is None


def test_a_damaged_board_counts_for_nothing_and_is_replaced(tmp_path: Path) -> None:
    board = FileBoard(tmp_path / "engine.load")
    board.path.write_bytes(b'{"pid": 1')
    assert board.read() is None

    board.post(LOAD)

    assert board.read() == LOAD


def test_a_board_in_a_folder_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    FileBoard(tmp_path / "gone" / "engine.load").post(LOAD)


class Wall:
    """A board that remembers everything it showed."""

    def __init__(self) -> None:
        self.shown: list[Load] = []

    def post(self, load: Load) -> None:
        self.shown.append(load)

    def read(self) -> Load | None:
        return self.shown[-1] if self.shown else None

    def clear(self) -> None:
        self.shown.clear()


async def test_the_load_is_shown_at_once_now_and_then_and_after_the_last_change() -> None:
    clock, wall, work = ManualClock(), Wall(), [0]
    admission = Admission(clock, SeededEntropy(), board=wall)
    admission.bind(lambda: work[0])

    for number in range(1, 51):
        async with admission.entry("service:a"):
            work[0] = number
        await clock.advance(30)
    work[0] = 0
    admission.pulse()
    await clock.advance(5_000)

    assert [load.at_work for load in wall.shown] == [1, 34, 0]
    admission.close()
    assert wall.shown == []


def test_who_showed_nothing_takes_nothing_off_the_board() -> None:
    """A process that only answers, or finds the engine busy, closes too."""
    wall = Wall()
    wall.post(LOAD)

    Admission(ManualClock(), SeededEntropy(), board=wall).close()

    assert wall.read() == LOAD
