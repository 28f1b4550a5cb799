"""What a failed fsync left behind is durable before it is served: the case that
took the simulator two faults in a row to find, alone and short.
"""

from __future__ import annotations

import pytest

from agentsquad.kernel.errors import UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.adapters import database
from agentsquad.runtime.ledger.verification import verify
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.loop import SimulatedLoop
from agentsquad.testing.simulator.machine import Machine, Process
from agentsquad.testing.simulator.plugin import simulated_files
from agentsquad.testing.simulator.trace import Trace

LIVES = 30


def some_events(kind: str) -> list[NewEvent]:
    return [NewEvent(stream=f"run/{n}", type=kind, payload={"n": n}) for n in range(8)]


async def fail_reopen_and_lose_power(machine: Machine) -> tuple[list[Event], list[Event], bool]:
    """Return what a second process read before the power went, what a third
    reads afterwards, and whether it verifies."""
    read: list[list[Event]] = []
    valid: list[bool] = []

    async def first(process: Process) -> None:
        store = process.open_ledger().store
        await store.append(some_events("thing.made"))
        machine.disk.sync_fails = 1.0
        with pytest.raises(UnavailableError):
            await store.append(some_events("thing.moved"))
        machine.disk.sync_fails = 0.0

    async def second(process: Process) -> None:
        read.append(await process.open_ledger().store.read())
        machine.lose_power()

    async def third(process: Process) -> None:
        ledger = process.open_ledger()
        read.append(await ledger.store.read())
        valid.append((await verify(ledger, lambda done, total: None)).valid)

    for program in (first, second, third):
        error = await machine.spawn("p", program).gone
        if error is not None:
            return read[0], [], False
    return read[0], read[1], valid[0]


def kept_in_all_lives() -> bool:
    files = simulated_files()
    kept = True
    for number in range(LIVES):
        chance = Chance(f"reopening {number}")
        files.begin(chance.fork("sqlite"))
        loop = SimulatedLoop(chance)
        machine = Machine("m", loop, chance.fork("machine"), Trace())
        before, after, valid = loop.run(fail_reopen_and_lose_power(machine), until=60)
        for process in machine.processes:
            process.close()
        files.end()
        kept = kept and valid and before == after
    return kept


def test_what_was_read_after_a_failed_fsync_outlives_a_power_failure() -> None:
    assert kept_in_all_lives()


def test_without_writing_the_log_once_more_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_renew", lambda connection, path, disk: None)
    assert not kept_in_all_lives()
