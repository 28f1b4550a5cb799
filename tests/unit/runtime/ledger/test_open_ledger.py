"""Opening a ledger: what its address may be, and what is said when it fails."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from agentsquad.kernel.errors import IntegrityError, InvalidError, UnavailableError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy


def opened(url: str) -> Ledger:
    return open_ledger(url, ManualClock(), SeededEntropy())


@pytest.mark.parametrize("url", ["", "memory", "sqlite:", "sqlite:///", "mysql://host/db"])
def test_an_address_that_is_none_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        opened(url)
    assert caught.value.code == "ledger.url" and "sqlite:///" in str(caught.value.hint)


async def test_the_files_of_a_ledger_lie_side_by_side(tmp_path: Path) -> None:
    ledger = opened(f"sqlite:///{tmp_path}/new/home/log.db")
    await ledger.store.append([NewEvent(stream="a", type="x.y", payload={})])
    await ledger.readings.follow()
    await ledger.blobs.put(b"blob")
    ledger.close()
    names = sorted(p.name for p in (tmp_path / "new/home").iterdir())
    # Readings are let go of without a sync, so theirs stay as they are.
    kept = [f"log.readings.db{suffix}" for suffix in ("", "-shm", "-wal")]
    assert names == ["blobs", "log.db", "log.db.head", "log.keys.db", *kept]


def test_a_folder_that_cannot_be_made_or_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "log.db").mkdir()
    for url in (f"sqlite:///{tmp_path}/file/log.db", f"sqlite:///{tmp_path}/log.db"):
        with pytest.raises(UnavailableError) as caught:
            opened(url)
        assert caught.value.code == "ledger.unreadable"


def test_files_of_another_kind_are_refused_and_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    connection = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY)")
    connection.close()
    (tmp_path / "text.db").write_text("just text, no database" * 100)
    ledger = opened(f"sqlite:///{tmp_path}/log.db")
    ledger.close()
    for name in ("foreign.db", "text.db", "log.keys.db"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(IntegrityError):
            opened(f"sqlite:///{tmp_path}/{name}")
        assert (tmp_path / name).read_bytes() == before


async def test_a_newer_format_is_not_touched(tmp_path: Path) -> None:
    ledger = opened(f"sqlite:///{tmp_path}/log.db")
    ledger.close()
    connection = apsw.Connection(str(tmp_path / "log.db"))
    connection.pragma("user_version", 3)
    connection.close()
    with pytest.raises(IntegrityError) as caught:
        opened(f"sqlite:///{tmp_path}/log.db")
    assert "format 3" in caught.value.message
