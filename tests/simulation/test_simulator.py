"""One seed is one trace, and what the simulator's disk, loop and clock do is
what they say.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from agentsquad.runtime.ledger.disk import Habits
from agentsquad.testing.simulator import __main__ as command
from agentsquad.testing.simulator import simulate
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.clock import MachineClock
from agentsquad.testing.simulator.contract import StalledError
from agentsquad.testing.simulator.disk import SimulatedDisk
from agentsquad.testing.simulator.loop import Life, SimulatedLoop
from agentsquad.testing.simulator.network import Network, SilenceError
from agentsquad.testing.simulator.trace import Trace

SEEDS = ((3, "store"), (12, "store"), (4, "squad"), (11, "squad"))


def a_loop() -> SimulatedLoop:
    return SimulatedLoop(Chance("a test"))


def a_disk() -> SimulatedDisk:
    return SimulatedDisk("d", Chance("a test"), Trace(), Habits())


@pytest.mark.parametrize(("seed", "world"), SEEDS)
def test_the_same_seed_gives_the_same_trace_to_the_byte(seed: int, world: str) -> None:
    first = simulate(seed, world=world)
    simulate(seed + 1, world=world)  # what came before changes nothing
    shown: list[str] = []
    again = simulate(seed, world=world, show=shown.append)
    assert again == first
    assert shown[-len(first.last) :] == first.last
    assert first.events > 0 and not first.failed


def test_different_seeds_are_different_lives() -> None:
    assert len({simulate(seed, world="store").digest for seed in range(6)}) == 6


@pytest.mark.slow
def test_neither_hash_seed_nor_process_changes_a_trace() -> None:
    code = (
        "from agentsquad.testing.simulator import simulate\n"
        f"for seed, world in {SEEDS}: print(simulate(seed, world=world).digest)"
    )
    here = [simulate(seed, world=world).digest for seed, world in SEEDS]
    for hash_seed in ("0", "4711"):
        told = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.split() == here


def test_the_command_ends_with_the_count_of_seeds_and_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["--seeds", "3", "--workers", "1", "--world", "store"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 seeds, 0 failures"


# --- the parts


def test_time_jumps_to_the_next_timer_and_costs_nothing() -> None:
    loop = a_loop()

    async def nap() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run(nap(), until=4000) == 3600


def test_a_wait_that_can_never_end_is_reported() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StalledError):
        a_loop().run(wait_for_nobody(), until=10)

    async def spin() -> None:
        for _ in range(10**9):
            await asyncio.sleep(0)

    with pytest.raises(StalledError):
        a_loop().run(spin(), until=10)


def test_a_killed_process_does_nothing_more_and_cleans_nothing_up() -> None:
    loop = a_loop()
    done: list[str] = []

    async def work() -> None:
        try:
            for number in range(10):
                done.append(f"step {number}")
                await asyncio.sleep(1)
        finally:
            done.append("cleaned up")

    async def world() -> None:
        life = Life("p")
        life.run(loop.create_task, work())
        await asyncio.sleep(2.5)
        loop.kill(life)
        await asyncio.sleep(100)

    loop.run(world(), until=1000)
    assert done == ["step 0", "step 1", "step 2"]


def test_a_paused_process_goes_on_where_it_was() -> None:
    loop = a_loop()
    seen: list[float] = []

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(loop.time())

    async def world() -> None:
        life = Life("p")
        life.run(loop.create_task, work())
        await asyncio.sleep(1.5)
        life.paused = True
        await asyncio.sleep(10)
        loop.resume(life)
        await asyncio.sleep(10)

    loop.run(world(), until=1000)
    assert seen == [1, 11.5, 12.5]


def test_a_clock_jumps_and_drifts_but_its_monotonic_side_never_goes_back() -> None:
    loop = a_loop()
    clock = MachineClock(loop)

    async def world() -> list[tuple[int, float]]:
        told = [(clock.now_ms(), clock.monotonic_ms())]
        for step in (
            lambda: clock.drift(1.1),
            lambda: clock.jump(-5_000),
            lambda: clock.drift(0.9),
        ):
            await asyncio.sleep(10)
            step()
            told.append((clock.now_ms(), clock.monotonic_ms()))
        return told

    told = loop.run(world(), until=100)
    assert [round(steady) for _, steady in told] == [0, 10_000, 21_000, 32_000]
    assert [wall - told[0][0] for wall, _ in told] == [0, 10_000, 16_000, 27_000]


def test_a_power_failure_keeps_what_was_synced_and_any_part_of_the_rest() -> None:
    kept = set()
    for number in range(60):
        disk = SimulatedDisk("d", Chance(f"power {number}"), Trace(), Habits())
        disk.make_folder(f"{disk.root}/a")
        file = disk.open(f"{disk.root}/a/f", create=True)
        file.write(b"A" * 1024, 0)
        file.sync()
        disk.sync_folder(f"{disk.root}/a")
        file.write(b"B" * 1024, 0)
        disk.lose_power()
        kept.add(disk.read(f"{disk.root}/a/f"))
    assert kept == {a + b for a in (b"A" * 512, b"B" * 512) for b in (b"A" * 512, b"B" * 512)}


def test_a_name_that_was_not_synced_may_be_gone_after_a_power_failure() -> None:
    there = set()
    for number in range(40):
        disk = SimulatedDisk("d", Chance(f"names {number}"), Trace(), Habits())
        disk.write_new(f"{disk.root}/f", b"content")
        disk.lose_power()
        there.add(disk.size(f"{disk.root}/f"))
    assert there == {None, 7}


def test_after_a_failed_sync_the_next_one_says_yes_and_the_data_is_gone_all_the_same() -> None:
    disk = a_disk()
    path = f"{disk.root}/f"
    file = disk.open(path, create=True)
    disk.sync_folder(disk.root)
    life = Life("p")

    def write() -> None:
        mine = disk.open(path)
        disk.sync_fails = 1.0
        mine.write(b"lost", 0)
        with pytest.raises(OSError, match="Input/output"):
            mine.sync()
        disk.sync_fails = 0.0
        mine.sync()

    life.run(write)
    assert disk.read(path) == b"lost"
    disk.lose_power()
    assert disk.read(path) == b""
    file.close()


def test_a_full_disk_takes_nothing_that_grows() -> None:
    disk = a_disk()
    file = disk.open(f"{disk.root}/f", create=True)
    file.write(b"1234", 0)
    disk.room = 0
    file.write(b"5", 0)
    with pytest.raises(OSError, match="No space left"):
        file.write(b"6", 4)


def test_a_link_that_is_cut_gives_silence_and_a_message_outlives_its_sender() -> None:
    loop = a_loop()
    network = Network(loop, Chance("a test"), Trace())
    heard: list[object] = []

    async def hear(message: dict[str, object]) -> object:
        heard.append(message["n"])
        return message["n"]

    network.listen("b", hear)

    async def world() -> None:
        assert await network.call("a", "b", {"op": "say", "n": 1}) == 1
        network.cut = {"b"}
        with pytest.raises(SilenceError):
            await network.call("a", "b", {"op": "say", "n": 2})
        network.cut = set()
        life = Life("sender")
        life.run(loop.create_task, network.call("a", "b", {"op": "say", "n": 3}))
        await asyncio.sleep(0)
        loop.kill(life)
        await asyncio.sleep(1)

    loop.run(world(), until=100)
    assert heard == [1, 3]
