"""Measures durable workflows: five steps in a row at 1, 100 and 1,000 in
flight, 1,000 steps side by side, 10,000 parked runs, and start-up.

Everything runs on a SQLite log with every step synced before the next begins.
Peers that are installed (bench/peers.py) do the same work in turns with ours;
the ratio of each round is taken within the round, since figures of different
minutes cannot be compared, and the middle one is printed. `--rounds N` repeats,
`--only NAME` picks cells, `--alone` leaves the peers out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import peers

CELLS: dict[str, tuple[str, ...]] = {
    "start": ("start",),
    "chain 1": ("chain", "1", "2"),
    "chain 100": ("chain", "100", "3"),
    "chain 1000": ("chain", "1000", "3"),
    "fan 1000": ("fan", "1000"),
    "park 10000": ("park", "10000"),
    "recover 10000": ("recover", "10000"),
}
# What is compared, and whether more is better.
FIGURES = {
    "start": ("process_s", False),
    "chain": ("steps_s", True),
    "fan": ("wall_s", False),
    "park": ("starts_s", True),
    "recover": ("killed_s", False),
}


async def driver(world: Any) -> Any:
    """Return an engine as the program makes it: over a store that several
    processes may serve with the lease, every commit under its token."""
    from agentsquad.runtime.engine.contract import Lease
    from agentsquad.runtime.engine.shared import SharedEngine, TenureLease
    from agentsquad.runtime.engine.shell import EmbeddedEngine
    from agentsquad.runtime.ledger.contract import Ledger

    tenure = world.ports.get(Ledger).tenure
    if tenure is None:
        return EmbeddedEngine(world)
    world.ports.put(Lease, TenureLease(tenure))
    shared = SharedEngine(world, tenure, lambda: EmbeddedEngine(world))
    await shared.join()
    return shared


class AllowAll:
    """A policy that allows everything, without the test kit around it."""

    revision = "sha256:allow-all"

    def decide(self, question: Any) -> Any:
        """Allow."""
        from agentsquad.kernel.policy import Decision

        return Decision(allow=True, reason="test", revision=self.revision, clauses=("test.allow",))

    def query(self, path: str, value: Any) -> Any:
        """Answer with what was asked."""
        return {"path": path, "input": value}


def workload(work_ms: float) -> Any:
    """Return the step and the workflows that are measured; each step keeps the
    processor busy for so long."""
    import msgspec

    from agentsquad.kernel.action import Effect, action
    from agentsquad.kernel.registry import Plugin
    from agentsquad.runtime.engine.contract import workflow

    class Payload(msgspec.Struct):
        id: int
        data: str

    globals()["Payload"] = Payload  # annotations are read by name

    @action("bench.step", effect=Effect.READ)
    async def step(ctx: Any, value: Payload) -> Payload:
        """Count on."""
        end = time.perf_counter() + work_ms / 1000
        while time.perf_counter() < end:
            pass
        return Payload(value.id + 1, value.data)

    @workflow("chained")
    async def chained(ctx: Any, value: Payload) -> Payload:
        for _ in range(peers.STEPS):
            value = await ctx.call("bench.step", value)
        return value

    @workflow("fan")
    async def fan(ctx: Any, value: int) -> int:
        one = peers.PAYLOAD["data"]
        found = await ctx.parallel(
            *(ctx.call("bench.step", Payload(n, str(one))) for n in range(value))
        )
        return len(found)

    @workflow("bounded")
    async def bounded(ctx: Any, value: list[int]) -> int:
        one = str(peers.PAYLOAD["data"])
        size, width = value
        do = lambda n: ctx.call("bench.step", Payload(n, one))  # noqa: E731
        count = 0
        async for _ in ctx.stream(do, range(size), limit=width):
            count += 1
        return count

    @workflow("parked")
    async def parked(ctx: Any, value: Payload) -> Any:
        return await ctx.signal("go")

    @workflow("sleeper")
    async def sleeper(ctx: Any, value: int) -> Any:
        await ctx.sleep(max(0, value - ctx.now_ms()))

    flows = (chained, fan, bounded, parked, sleeper)
    return Plugin(name="bench", actions=(step,), workflows=flows)


@asynccontextmanager
async def engine(
    work_ms: float = 0.0, place: str | None = None, store: str | None = None
) -> AsyncIterator[Any]:
    """Open an engine over a SQLite log in a folder of its own, or in a given
    one, or over another store; each step keeps the processor busy for so
    long."""
    from agentsquad.assembly.main import spare_collector
    from agentsquad.kernel.policy import PolicyEngine
    from agentsquad.kernel.ports import Clock, Entropy, EventStore
    from agentsquad.kernel.registry import Registry
    from agentsquad.runtime.engine.door import Ports, World
    from agentsquad.runtime.engine.plugin import system_clock, system_entropy
    from agentsquad.runtime.ledger.contract import Ledger
    from agentsquad.runtime.ledger.plugin import open_ledger

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as own:
        folder = place or own
        clock, entropy = system_clock(), system_entropy()
        ledger = open_ledger(store or f"sqlite:///{folder}/log.db", clock, entropy, home=folder)
        ports = Ports(
            {
                EventStore: ledger.store,
                PolicyEngine: AllowAll(),
                Clock: clock,
                Entropy: entropy,
                Ledger: ledger,
            }
        )
        world = World(Registry.of(workload(work_ms)), ports)
        opened = await driver(world)
        spare_collector()  # as the program does when it opens an installation
        yield opened
        await opened.close()
        ledger.close()


async def recover(size: int) -> dict[str, float]:
    """Park runs, and begin again with a fresh engine: once without the reading
    of what waits, as after a kill, once with it."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        async with engine(place=place) as squad:
            names: list[str] = []

            async def start(number: int) -> None:
                names.append(await squad.start("parked", peers.PAYLOAD))

            await peers.flow(start, 100, count=size)
        found: dict[str, float] = {}
        for how in ("killed", "rested"):
            async with engine(place=place) as squad:
                begin, cpu = time.perf_counter(), time.process_time()
                await squad.recover()
                found[f"{how}_s"] = time.perf_counter() - begin
                found[f"{how}_cpu_s"] = time.process_time() - cpu
                assert squad.drives == {}
                begin = time.perf_counter()
                name = names.pop()
                await squad.signal(name, "go", "x", actor="person:bench")
                assert (await squad.wait(name)).output == "x"
                found["signal_s"] = time.perf_counter() - begin
        return found


async def ours(cell: str, *args: str) -> dict[str, float]:
    """Run one cell on this project's engine."""
    if cell == "recover":
        return await recover(int(args[0]))
    async with engine() as squad:

        async def run(number: int) -> Any:
            outcome = await squad.wait(await squad.start("chained", peers.PAYLOAD))
            assert outcome.output["id"] == peers.STEPS
            return outcome

        if cell == "chain":
            return await peers.chain(run, int(args[0]), float(args[1]))
        if cell == "start":
            return {"cpu": (await run(0)).output["id"], "rss_mb": peers.rss_kb() / 1e3}
        if cell == "fan":
            await run(0)
            begin = time.perf_counter()
            outcome = await squad.wait(await squad.start("fan", int(args[0])))
            assert outcome.output == int(args[0])
            return {"wall_s": time.perf_counter() - begin}
        return await park(squad, int(args[0]))


async def park(squad: Any, size: int) -> dict[str, float]:
    """Start runs that wait, let all of them leave the memory, wake them."""
    waiting = ended = 0
    names: list[str] = []

    def count(event: Any) -> None:
        nonlocal waiting, ended
        waiting += event.type == "signal.waiting"
        ended += event.type == "run.completed"

    squad.watchers.append(count)

    async def start(number: int) -> None:
        names.append(await squad.start("parked", peers.PAYLOAD))
        while number - waiting > 200:  # noqa: ASYNC110 - a bounded number is on its way
            await asyncio.sleep(0)

    async def wake(number: int) -> None:
        await squad.signal(names[number], "go", "x", actor="person:bench")

    async def rest() -> None:
        while ended < len(names):  # noqa: ASYNC110 - the last ones end of themselves
            await asyncio.sleep(0.001)

    found = await peers.park(start, wake, rest, size)
    assert ended == size == found["parked"]
    return {**found, "done": ended, "done_s": ended / found["waking_s"]}


def rounds(cells: list[str], count: int, rivals: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Measure every cell in every round, ours and the peers' in turns."""
    found: dict[str, list[dict[str, Any]]] = {cell: [] for cell in cells}
    for number in range(count):
        for cell in cells:
            line: dict[str, Any] = {"conditions": peers.conditions()}
            order = ["ours", *rivals]
            for who in order if number % 2 == 0 else order[::-1]:
                if who == "ours":
                    line[who] = peers.measured(__file__, sys.executable, "cell", *CELLS[cell])
                elif cell.startswith("recover"):
                    continue  # the peers have no such cell
                else:
                    python = peers.interpreter(who)
                    line[who] = peers.measured(
                        peers.__file__, str(python), who, *CELLS[cell], timeout_s=90
                    )
            found[cell].append(line)
            print(json.dumps({cell: line}, default=str), file=sys.stderr, flush=True)
    return found


def table(found: dict[str, list[dict[str, Any]]], rivals: list[str]) -> None:
    """Print the middle of the rounds and the ratios within them."""
    print(f"{'cell':<12}{'who':<12}{'figures (median of rounds)':<74}ours is")
    for cell, lines in found.items():
        for who in ("ours", *rivals):
            told = [line[who] for line in lines if "failed" not in line.get(who, {"failed": ""})]
            if not told and who not in lines[-1]:
                continue
            if not told:
                print(f"{cell:<12}{who:<12}{lines[-1][who]['failed'][:100]}")
                continue
            names = [n for n in told[0] if n != "cpu" and (n != "process_s" or cell == "start")]
            middle = {n: statistics.median(one[n] for one in told) for n in names}
            text = "  ".join(f"{name} {value:,.4g}" for name, value in middle.items())
            print(f"{cell:<12}{who:<12}{text:<74}{ratio(cell, who, lines)}")
    told = [line["conditions"] for lines in found.values() for line in lines]
    for name in ("cpu_share", "sync_ms"):
        values = [one[name] for one in told]
        print(f"{name}: {min(values)} to {max(values)}, median {statistics.median(values)}")


def ratio(cell: str, who: str, lines: list[dict[str, Any]]) -> str:
    """Return how many times better ours is, within the rounds."""
    figure, more = FIGURES[cell.split()[0]]
    pairs = [
        (line["ours"][figure], line[who][figure])
        for line in lines
        if figure in line["ours"] and figure in line[who]
    ]
    if who == "ours" or not pairs:
        return ""
    middle = statistics.median(a / b if more else b / a for a, b in pairs)
    better = f"{middle:,.1f} times better" if middle >= 1 else f"{1 / middle:,.1f} times worse"
    return f"{better} in {figure}"


def main() -> None:
    """Run one cell, or rounds of them."""
    if sys.argv[1:2] == ["cell"]:
        print(json.dumps(asyncio.run(ours(*sys.argv[2:]))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", action="append", choices=sorted(CELLS))
    parser.add_argument("--alone", action="store_true")
    options = parser.parse_args()
    rivals = [
        p for p in ("langgraph", "dbos", "restate") if not options.alone and peers.interpreter(p)
    ]
    table(rounds(options.only or list(CELLS), options.rounds, rivals), rivals)


if __name__ == "__main__":
    main()
