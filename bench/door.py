"""Measures what the door costs: processor microseconds of a pure action that
does nothing, called from outside and as a step of a run.

From outside the call is validated and made: policy is not asked about what
cannot reach the world, and nothing is journaled. As a step it is journaled too:
the figure is what each of 2,000 more steps of one run costs, with its command,
its event, the hashes, the disk and the run's going on. The least of the rounds
is told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import peers
from agentsquad.assembly.main import spare_collector
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import SYSTEM
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.plugin import system_clock, system_entropy
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import AllowAll

CALLS = 2_000
WANTED_US = 50


@action("bench.same", effect=Effect.PURE)
def same(ctx: Any, value: dict[str, int]) -> dict[str, int]:
    """Return what came."""
    return value


@workflow("steps")
async def steps(ctx: Any, value: int) -> int:
    """Take so many steps."""
    for number in range(value):
        await ctx.call("bench.same", {"number": number})
    return value


async def rounds(count: int) -> dict[str, float]:
    """Return the least microseconds of each way in."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        clock, entropy = system_clock(), system_entropy()
        ledger = open_ledger(f"sqlite:///{folder}/log.db", clock, entropy)
        ports = Ports(
            {
                EventStore: ledger.store,
                PolicyEngine: AllowAll(),
                Clock: clock,
                Entropy: entropy,
                Ledger: ledger,
            }
        )
        plugin = Plugin(name="bench", actions=(same,), workflows=(steps,))
        squad = EmbeddedEngine(World(Registry.of(plugin), ports))
        spare_collector()

        async def outside() -> None:
            for number in range(CALLS):
                await squad.invoke("bench.same", {"number": number}, actor=SYSTEM)

        async def run(size: int) -> float:
            begin = time.process_time()
            assert (await squad.wait(await squad.start("steps", size))).output == size
            return time.process_time() - begin

        found: dict[str, list[float]] = {"outside_us": [], "step_us": []}
        for _ in range(count):
            begin = time.process_time()
            await outside()
            found["outside_us"].append((time.process_time() - begin) / CALLS * 1e6)
            short = await run(1)
            found["step_us"].append((await run(CALLS + 1) - short) / CALLS * 1e6)
        await squad.close()
        ledger.close()
        return {name: min(values) for name, values in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    found = asyncio.run(rounds(options.rounds))
    if options.output == "json":
        print(json.dumps({name: round(value, 2) for name, value in found.items()}))
        return
    print(f"a pure action, called from outside  {found['outside_us']:>6.1f} cpu us")
    print(f"a pure action, a step of a run      {found['step_us']:>6.1f} cpu us, journal included")
    print(f"wanted: at most {WANTED_US}; conditions: {peers.conditions()}")


if __name__ == "__main__":
    main()
