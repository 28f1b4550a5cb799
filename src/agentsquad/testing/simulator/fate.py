"""Fate: which faults strike a machine, when, and how often.

Each seed draws first which kinds of fault there are at all, so that some seeds
see one kind alone and often, and others many together.
"""

from __future__ import annotations

import asyncio

from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.machine import Machine
from agentsquad.testing.simulator.trace import Trace

KINDS = (
    "kill",
    "crash",
    "power",
    "pause",
    "full",
    "sync",
    "lie",
    "write",
    "read",
    "jump",
    "drift",
)


class Fate:
    """What happens to one machine."""

    def __init__(self, machine: Machine, chance: Chance, trace: Trace) -> None:
        self._machine = machine
        self._chance = chance
        self._trace = trace
        self.kinds = chance.some(KINDS, chance.pick((0.15, 0.4, 0.8)))
        self._gap_ms = chance.pick((40, 150, 500))
        trace.note("fate", f"{' '.join(self.kinds) or 'nothing'} about every {self._gap_ms} ms")

    async def rule(self, duration_ms: int) -> None:
        """Let faults strike for a time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + duration_ms / 1000
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, self._chance.between(1, 2 * self._gap_ms) / 1000))
            if self.kinds and loop.time() < end:
                getattr(self, f"_{self._chance.pick(self.kinds)}")()
        self._machine.disk.heal()
        for process in self._machine.living:
            process.life.fuse = None
            self._resume(process)

    def end(self) -> None:
        """Let nothing fail any more."""
        self._machine.disk.heal()
        self._machine.clock.drift(1.0)

    def damage(self, kind: str) -> str | None:
        """Damage the disk at rest; None when it holds nothing to damage so."""
        disk = self._machine.disk
        if kind == "lost write":
            return disk.lose_write()
        return disk.flip() if kind == "bit flip" else disk.misdirect()

    # --- one fault each

    def _kill(self) -> None:
        living = self._machine.living
        if living:
            process = self._chance.pick(living)
            self._trace.fault("kill", process.life.name)
            after = self._chance.below(40)
            process.life.fuse = (
                process.life.steps + after,
                lambda: self._machine.kill(process),
            )

    def _crash(self) -> None:
        living = self._machine.living
        if living:
            process = self._chance.pick(living)
            after = self._chance.between(1, 60)
            self._machine.fuse(process, after, done=self._chance.happens(0.5))

    def _power(self) -> None:
        self._machine.fuse(None, self._chance.between(1, 60), done=self._chance.happens(0.5))

    def _pause(self) -> None:
        living = self._machine.living
        if living:
            process = self._chance.pick(living)
            if not process.life.paused:
                self._trace.fault("pause", process.life.name)
                process.life.paused = True
                delay = self._chance.between(1, 300) / 1000
                asyncio.get_running_loop().call_later(delay, self._resume, process)

    def _resume(self, process: object) -> None:
        life = process.life  # type: ignore[attr-defined]
        if life.paused and life.alive:
            self._machine.loop.resume(life)

    def _full(self) -> None:
        disk = self._machine.disk
        disk.room = self._chance.pick((0, 500, 5_000, 50_000))
        self._after(20, 300, lambda: setattr(disk, "room", None))

    def _sync(self) -> None:
        disk = self._machine.disk
        disk.sync_fails = self._chance.pick((0.1, 0.5, 1.0))
        self._after(5, 100, lambda: setattr(disk, "sync_fails", 0.0))

    def _lie(self) -> None:
        """Let one fsync fail, and cut the power some operations later: when
        whoever came back believes in what the failed one left."""
        disk = self._machine.disk

        def failed() -> None:
            disk.sync_fails, disk.sync_failed = 0.0, None
            self._machine.fuse(None, self._chance.between(5, 60), done=True)

        disk.sync_fails, disk.sync_failed = 1.0, failed

    def _write(self) -> None:
        disk = self._machine.disk
        disk.write_fails = self._chance.pick((0.01, 0.1, 0.5))
        self._after(5, 100, lambda: setattr(disk, "write_fails", 0.0))

    def _read(self) -> None:
        disk = self._machine.disk
        disk.read_fails = self._chance.pick((0.05, 0.5))
        self._after(5, 60, lambda: setattr(disk, "read_fails", 0.0))

    def _jump(self) -> None:
        by_ms = self._chance.between(-5_000, 5_000)
        self._trace.fault("clock jump", self._machine.name, f"{by_ms} ms")
        self._machine.clock.jump(by_ms)

    def _drift(self) -> None:
        rate = self._chance.pick((0.9, 0.99, 1.01, 1.1))
        self._trace.fault("clock drift", self._machine.name, f"{rate}")
        self._machine.clock.drift(rate)

    def _after(self, low_ms: int, high_ms: int, undo: object) -> None:
        delay = self._chance.between(low_ms, high_ms) / 1000
        asyncio.get_running_loop().call_later(delay, undo)  # type: ignore[arg-type]
