"""Machine: a simulated computer with one disk and one clock, and the processes
on it.

A process is killed alone (what it wrote stays in the page cache) or with its
machine (what was not synced may be lost). It is started again by whoever
watches it, as a supervisor does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.disk import Habits
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.clock import MachineClock
from agentsquad.testing.simulator.disk import Fuse, SimulatedDisk
from agentsquad.testing.simulator.loop import Life, SimulatedLoop
from agentsquad.testing.simulator.plugin import simulated_files
from agentsquad.testing.simulator.trace import Trace


class Process:
    """One life of a program on a machine."""

    def __init__(self, machine: Machine, name: str, number: int) -> None:
        self.machine = machine
        self.name = name
        self.life = Life(f"{name}{number}")
        self.entropy: Entropy = machine.chance.fork(f"entropy {name} {number}")
        self.ledger: Ledger | None = None
        self.gone: asyncio.Future[BaseException | None] = machine.loop.create_future()
        self.closed = False

    def open_ledger(self) -> Ledger:
        """Open the ledger on the machine's disk, as this process."""
        url = f"sqlite:///{self.machine.disk.root}/store/ledger.db"
        self.ledger = open_ledger(url, self.machine.clock, self.entropy, self.machine.disk)
        return self.ledger

    def start(self, main: Callable[[Process], Coroutine[Any, Any, None]]) -> None:
        """Run a program in this life; its end is the life's end."""
        task = self.life.run(self.machine.loop.create_task, main(self))

        def ended(done: asyncio.Task[None]) -> None:
            if self.life.alive:
                self.machine.kill(self, None if done.cancelled() else done.exception())

        self.life.run(task.add_done_callback, ended)

    def close(self) -> None:
        """Let SQLite forget the connections of a dead process."""
        if not self.closed:
            self.closed = True
            if self.ledger is not None:
                with contextlib.suppress(Exception):
                    self.life.run(self.ledger.close)
            self.ledger = None


class Machine:
    """A disk, a clock, and the processes that live now."""

    def __init__(self, name: str, loop: SimulatedLoop, chance: Chance, trace: Trace) -> None:
        self.name = name
        self.loop = loop
        self.chance = chance
        self.trace = trace
        self.clock = MachineClock(loop)
        habits = Habits(
            checkpoint_pages=chance.pick((8, 40, 4_000)), portion=chance.pick((4096, 65_536))
        )
        self.disk = SimulatedDisk(name, chance.fork("disk"), trace, habits)
        simulated_files().plug(self.disk)
        self.processes: list[Process] = []
        self._starts = 0

    @property
    def living(self) -> list[Process]:
        """The processes that are alive."""
        return [process for process in self.processes if process.life.alive]

    def spawn(self, name: str, main: Callable[[Process], Coroutine[Any, Any, None]]) -> Process:
        """Start a program."""
        for process in self.processes:
            if not process.life.alive:
                process.close()
        self.processes = self.living
        self._starts += 1
        process = Process(self, name, self._starts)
        self.processes.append(process)
        self.trace.note(process.life.name, "starts")
        process.start(main)
        return process

    def kill(self, process: Process, error: BaseException | None = None) -> None:
        """End a process here and now."""
        if process.life.alive:
            self.loop.kill(process.life)
            code = getattr(error, "code", type(error).__name__) if error else "killed"
            self.trace.note(process.life.name, f"is gone: {code}")
            # At the next step, by nobody: its locks are given back at once, but
            # not in the middle of what SQLite is doing for it.
            self.loop.call_soon(process.close, context=Context())
        if not process.gone.done():
            process.gone.set_result(error)

    def lose_power(self) -> None:
        """End all processes, and lose some of what was not synced."""
        for process in self.living:
            self.kill(process)
        self.trace.fault("power failure", self.name, self.disk.lose_power())

    def shut_down(self) -> None:
        """End all processes and write everything back."""
        for process in self.living:
            self.kill(process)
        self.disk.reboot()

    def fuse(self, process: Process | None, after: int, *, done: bool) -> None:
        """Kill a process, or cut the machine's power, at an operation of the
        disk."""

        def blow() -> None:
            if process is None:
                self.lose_power()
            elif process.life.alive:
                self.trace.fault("crash in an operation", process.life.name)
                self.kill(process)

        self.disk.fuse = Fuse(after, blow, done=done, life=process.life if process else None)
