"""No failed write, failed fsync, full disk, torn write or power failure loses
an acknowledged event or shows one that was never appended.

Each test runs one conversation with the log again and again, failing the first
disk operation, then the second, and so on.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agentsquad.kernel.errors import IntegrityError, UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.contract import FullError, Ledger, PoisonedError


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "conformance" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


disk = load("faulty_disk")
kit = load("ledger_kit")

APPENDS = 12


def batch(number: int) -> list[NewEvent]:
    return [kit.event(f"run:{(number + i) % 3}", n=number, i=i) for i in range(1 + number % 3)]


class Talk:
    """What was asked of a ledger and what it answered."""

    def __init__(self, folder: Path) -> None:
        self.url = kit.url_of("sqlite", folder)
        self.acknowledged: list[Event] = []
        self.uncertain: list[NewEvent] = []
        self.errors: list[Exception] = []

    async def hold(self, ledger: Ledger) -> None:
        for number in range(APPENDS):
            try:
                self.acknowledged += await ledger.store.append(batch(number))
            except UnavailableError as error:
                self.uncertain += batch(number)
                self.errors.append(error)

    async def run(self) -> None:
        try:
            ledger = kit.open_test_ledger(self.url)
        except UnavailableError as error:
            self.errors.append(error)
            return
        try:
            await self.hold(ledger)
        finally:
            ledger.close()

    async def check(self, *, surplus: bool) -> None:
        """Open again: all acknowledged events are there as acknowledged; others
        only if `surplus`, and then they are among those that were asked for.
        """
        ledger = kit.open_test_ledger(self.url)
        try:
            events = await ledger.store.read(limit=10_000)
            assert [e.seq for e in events] == list(range(1, len(events) + 1))
            by_seq = {e.seq: e for e in events}
            for event in self.acknowledged:
                assert by_seq[event.seq] == event
            more = [e for e in events if e.seq not in {a.seq for a in self.acknowledged}]
            asked = [(e.stream, e.payload) for e in self.uncertain]
            assert all((e.stream, e.payload) in asked for e in more)
            assert surplus or not more
            for stream, version in await ledger.store.streams():
                mine = await ledger.store.read_stream(stream)
                assert len(mine) == version and mine == [e for e in events if e.stream == stream]
            await ledger.store.append([kit.event("after")])
        finally:
            ledger.close()


async def count_operations(tmp_path: Path) -> dict[str, int]:
    folder = tmp_path / "dry"
    folder.mkdir()
    with disk.failing(None) as plan:
        await Talk(folder).run()
    return dict(plan.counts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [disk.WRITE, disk.TORN, disk.SYNC])
async def test_whatever_write_or_sync_fails_nothing_acknowledged_is_lost(
    kind: str, tmp_path: Path
) -> None:
    counts = await count_operations(tmp_path)
    total = counts["sync" if kind == disk.SYNC else "write"]
    assert total >= APPENDS
    poisoned = 0
    for at in range(1, total + 1):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        talk = Talk(folder)
        with disk.failing(kind, at) as plan:
            await talk.run()
        assert plan.struck == 1
        poisoned += any(isinstance(e, PoisonedError) for e in talk.errors)
        assert len(talk.acknowledged) + len(talk.uncertain) in (
            0,
            sum(len(batch(n)) for n in range(APPENDS)),
        )
        await talk.check(surplus=True)
    assert poisoned >= APPENDS


@pytest.mark.slow
async def test_a_full_disk_refuses_and_recovers_without_reopening(tmp_path: Path) -> None:
    counts = await count_operations(tmp_path)
    refused = 0
    for at in range(1, counts["write"] + 1):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        talk = Talk(folder)
        with disk.failing(disk.FULL, at):
            await talk.run()
        refused += len(talk.errors)
        assert all(isinstance(e, FullError) for e in talk.errors), talk.errors
        assert len(talk.errors) <= 1, "the next append went through"
        await talk.check(surplus=False)
    assert refused >= APPENDS


async def test_a_disk_that_stays_full_refuses_every_append_and_stays_readable(
    tmp_path: Path,
) -> None:
    ledger = kit.open_test_ledger(kit.url_of("sqlite", tmp_path))
    [kept] = await ledger.store.append([kit.event()])
    with disk.failing(disk.FULL, 1, lasting=True):
        for _ in range(3):
            with pytest.raises(FullError) as caught:
                await ledger.store.append([kit.event()])
            assert caught.value.code == "ledger.full"
            assert await ledger.store.read() == [kept]
    await ledger.store.append([kit.event()])
    assert await ledger.store.size() == 2
    ledger.close()


async def test_a_poisoned_log_refuses_until_it_is_opened_again(tmp_path: Path) -> None:
    url = kit.url_of("sqlite", tmp_path)
    ledger = kit.open_test_ledger(url)
    await ledger.store.append([kit.event(n=1)])
    with disk.failing(disk.SYNC, 1), pytest.raises(PoisonedError):
        await ledger.store.append([kit.event(n=2)])
    for _ in range(2):
        with pytest.raises(PoisonedError) as caught:
            await ledger.store.append([kit.event(n=3)])
        assert caught.value.code == "ledger.poisoned"
    ledger.close()
    ledger = kit.open_test_ledger(url)
    assert [e.payload["n"] for e in await ledger.store.read()] in ([1], [1, 2])
    ledger.close()


@pytest.mark.slow
async def test_a_power_failure_after_any_append_leaves_every_acknowledged_event(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    disk.DISK.folder, disk.DISK.synced = str(home), {}
    ledger = kit.open_test_ledger(kit.url_of("sqlite", home))
    talk = Talk(home)
    try:
        for number in range(APPENDS):
            talk.acknowledged += await ledger.store.append(batch(number))
            left = tmp_path / f"left{number}"
            left.mkdir()
            disk.DISK.after_power_failure(left)
            (left / "ledger.db.head").write_bytes((home / "ledger.db.head").read_bytes())
            after = Talk(left)
            after.acknowledged = list(talk.acknowledged)
            await after.check(surplus=False)
    finally:
        disk.DISK.folder = None
        ledger.close()


async def test_a_log_cut_back_to_an_earlier_state_is_found_at_open(tmp_path: Path) -> None:
    url = kit.url_of("sqlite", tmp_path)
    ledger = kit.open_test_ledger(url)
    await ledger.store.append([kit.event(n=1)])
    ledger.close()
    earlier = (tmp_path / "ledger.db").read_bytes()
    ledger = kit.open_test_ledger(url)
    await ledger.store.append([kit.event(n=2)])
    ledger.close()
    (tmp_path / "ledger.db").write_bytes(earlier)
    with pytest.raises(IntegrityError) as caught:
        kit.open_test_ledger(url)
    assert caught.value.code == "ledger.lost"
    (tmp_path / "ledger.db").unlink()
    with pytest.raises(IntegrityError) as caught:
        kit.open_test_ledger(url)
    assert caught.value.code == "ledger.lost"
    (tmp_path / "ledger.db.head").unlink()
    kit.open_test_ledger(url).close()


async def test_another_log_in_the_place_of_this_one_is_found_at_open(tmp_path: Path) -> None:
    for name, count in (("mine", 2), ("other", 3)):
        (tmp_path / name).mkdir()
        ledger = kit.open_test_ledger(kit.url_of("sqlite", tmp_path / name), seed=name)
        await ledger.store.append([kit.event(name)] * count)
        ledger.close()
    (tmp_path / "mine/ledger.db").write_bytes((tmp_path / "other/ledger.db").read_bytes())
    with pytest.raises(IntegrityError) as caught:
        kit.open_test_ledger(kit.url_of("sqlite", tmp_path / "mine"))
    assert caught.value.code == "ledger.damaged"
