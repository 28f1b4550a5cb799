"""Simulation: one seed, from its first choice to its report."""

from __future__ import annotations

import gc
from collections.abc import Callable

from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.contract import Finding, Report, StalledError
from agentsquad.testing.simulator.loop import SimulatedLoop
from agentsquad.testing.simulator.plugin import simulated_files
from agentsquad.testing.simulator.squad_world import SquadWorld
from agentsquad.testing.simulator.store_world import StoreWorld
from agentsquad.testing.simulator.trace import Trace

WORLDS: dict[str, type[StoreWorld] | type[SquadWorld]] = {
    "store": StoreWorld,
    "squad": SquadWorld,
}
LONGEST_S = 600.0  # of virtual time


def world_of(seed: int) -> str:
    """Return the world that a seed is lived in unless one is named."""
    return "store" if seed % 3 == 0 else "squad"


def simulate(
    seed: int, *, world: str | None = None, show: Callable[[str], None] | None = None
) -> Report:
    """Live through one seed; `show` gets every line of its trace."""
    name = world or world_of(seed)
    chance = Chance(f"{name} {seed}")
    trace = Trace(show)
    files = simulated_files()
    files.begin(chance.fork("sqlite"))
    loop = SimulatedLoop(chance.fork("loop"), shuffled=chance.happens(0.3))
    trace.now = lambda: loop.time() * 1000
    collecting = gc.isenabled()
    gc.disable()
    lived = WORLDS[name](loop, chance, trace)
    try:
        loop.run(lived.live(), until=LONGEST_S)
    except StalledError as error:
        lived.oracle.find("it comes to an end", error.message)
    finally:
        for process in lived.machine.processes:
            process.life.alive = False
            process.close()
        loop.bury(*(process.life for process in lived.machine.processes))
        files.end()
        if collecting:
            gc.enable()
    for escaped in loop.errors:
        lived.oracle.find("nothing escapes", escaped)
    return Report(
        seed=seed,
        world=name,
        digest=trace.digest,
        findings=list(lived.oracle.findings) or [],
        faults=dict(sorted(trace.counts.items())),
        events=len(lived.oracle.known),
        runs=lived.runs,
        effects=lived.effects,
        virtual_ms=int(loop.time() * 1000),
        last=list(trace.lines),
    )


__all__ = ["Finding", "Report", "simulate", "world_of"]
