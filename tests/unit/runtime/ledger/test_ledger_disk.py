"""The machine's disk makes names durable, not only content; a page that lies in
the place of another is damage.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentsquad.runtime.ledger.adapters import database
from agentsquad.runtime.ledger.adapters.disk import SystemDisk
from agentsquad.runtime.ledger.contract import DamagedError


def test_a_new_folder_is_durable_with_every_folder_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def remember(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    # The system call is watched: that a name is durable shows only after a
    # power failure.
    monkeypatch.setattr(os, "fsync", remember)
    disk = SystemDisk()
    assert disk.make_folder(str(tmp_path / "a/b/c"), 0o700)
    assert synced == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a/b")]
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o700
    assert not disk.make_folder(str(tmp_path / "a/b/c"))
    assert len(synced) == 3


def test_a_row_with_wrong_columns_is_damage_and_no_type_error() -> None:
    database.expect("ledger.db", (b"key", 0), bytes, int)
    for row in ((1, 0), ("key", 0), (b"key", None), (b"key", b"0")):
        with pytest.raises(DamagedError):
            database.expect("ledger.db", row, bytes, int)
