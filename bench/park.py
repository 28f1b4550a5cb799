"""Measures runs that wait: starting so many, what each holds, and waking all of
them.

`--runs N` runs are started, a hundred callers at once, and wait for a signal;
when all have left the memory, resident memory and disk are counted; then the
engine begins again, all are signalled, and every one must complete. Ours alone,
or in turns with the peers that bench/peers.py installed. `--timers N` starts
runs that sleep until one and the same second instead. `--agents N` has so many
agents at work at once: each asks a model that takes `--model-s` seconds, calls
a tool, and asks again, journal on.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import contest
import peers

WARM = 2_000  # runs that come and go before anything is counted, so that caches are full
WIDTH = 100
AHEAD = 400  # starts whose wait is not on the disk yet


class Ids:
    """The ids of many runs, without an object for each."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._size = 0

    def add(self, run: str) -> None:
        """Keep an id; all are of one length."""
        self._size = len(run)
        self._bytes += run.encode()

    def __len__(self) -> int:
        return len(self._bytes) // self._size if self._size else 0

    def __getitem__(self, number: int) -> str:
        return self._bytes[number * self._size : (number + 1) * self._size].decode()


class Census:
    """Counts what runs come to, from the events of the engine."""

    def __init__(self, squad: Any) -> None:
        self.waits = self.ended = 0
        squad.watchers.append(self.hear)

    def hear(self, event: Any) -> None:
        """Count an event."""
        kind = event.type
        if kind == "signal.waiting" or kind == "timer.set":
            self.waits += 1
        elif kind == "run.completed":
            self.ended += 1


def peak_mb() -> float:
    """Return the most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def weight(folder: Path) -> int:
    """Return the bytes of all files of a ledger."""
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


async def start_all(squad: Any, census: Census, size: int, flow: str, value: Any) -> Any:
    """Start runs and let all of them leave the memory; return (ids, wall s,
    cpu s)."""
    from agentsquad.runtime.resilience.contract import OverloadedError

    ids = Ids()
    goal = census.waits + size

    async def start(number: int) -> None:
        while True:
            try:
                ids.add(await squad.start(flow, value))
                break
            except OverloadedError as error:  # come again later, as it says
                await asyncio.sleep((error.retry_after_ms or 100) / 1000)
        while len(ids) - (census.waits - goal + size) > AHEAD:  # noqa: ASYNC110
            await asyncio.sleep(0)

    _, wall, cpu = await peers.flow(start, WIDTH, count=size)
    begin, spent = time.perf_counter(), time.process_time()
    while census.waits < goal or squad.drives:  # noqa: ASYNC110 - the last ones are on their way
        await asyncio.sleep(0.001)
    wall += time.perf_counter() - begin
    return ids, wall, cpu + time.process_time() - spent


async def park(size: int, timers_s: float) -> dict[str, float]:
    """Park runs, count, wake all."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        ids, found = await begin(size, timers_s, Path(place))
        return found if ids is None else {**found, **await wake(ids, Path(place))}


async def begin(size: int, timers_s: float, place: Path) -> tuple[Ids | None, dict[str, float]]:
    """Park runs and count; with a time, let them sleep until then and end."""
    import engine

    async with engine.engine(place=str(place)) as squad:
        await squad.recover()
        census = Census(squad)
        warm, _, _ = await start_all(squad, census, WARM, "parked", peers.PAYLOAD)
        await tell_all(squad, census, warm)
        rss, disk = peers.rss_kb(), weight(place)
        if timers_s:
            return None, await sleepers(squad, census, size, timers_s, rss)
        ids, wall, cpu = await start_all(squad, census, size, "parked", peers.PAYLOAD)
        return ids, {
            "parked": len(ids),
            "starts_per_s": size / wall,
            "start_cpu_ms": cpu / size * 1e3,
            "rss_kb_each": (peers.rss_kb() - rss) / size,
            "rss_mb": peers.rss_kb() / 1e3,
            "disk_bytes_each": (weight(place) - disk) / size,
        }


async def wake(ids: Ids, place: Path) -> dict[str, float]:
    """Begin again over parked runs, signal all of them, and count who ended."""
    import engine

    begin = time.perf_counter()
    async with engine.engine(place=str(place)) as squad:
        await squad.recover(wait=False)
        assert (await squad.wait(await squad.start("chained", peers.PAYLOAD))).output
        found = {
            "working_again_s": time.perf_counter() - begin,
            "open_rss_mb": peers.rss_kb() / 1e3,
        }
        await squad.recover()
        census = Census(squad)
        wall, cpu = await tell_all(squad, census, ids)
        size = len(ids)
        return {
            **found,
            "wake_s": wall,
            "woken_per_s": size / wall,
            "wake_cpu_ms": cpu / size * 1e3,
            "lost": size - census.ended,
            "peak_mb": peak_mb(),
        }


async def tell_all(squad: Any, census: Census, ids: Ids) -> tuple[float, float]:
    """Signal runs and wait until all have ended; return (wall s, cpu s)."""
    goal = census.ended + len(ids)

    async def tell(number: int) -> None:
        await squad.signal(ids[number], "go", "x", actor="person:bench")

    _, wall, cpu = await peers.flow(tell, WIDTH, count=len(ids))
    begin, spent = time.perf_counter(), time.process_time()
    while census.ended < goal:  # noqa: ASYNC110 - the last ones end of themselves
        await asyncio.sleep(0.001)
    return wall + time.perf_counter() - begin, cpu + time.process_time() - spent


async def sleepers(
    squad: Any, census: Census, size: int, after_s: float, rss: float
) -> dict[str, float]:
    """Let runs sleep until one and the same second."""
    due = int((time.time() + after_s) * 1000)
    begun = census.ended
    _, wall, cpu = await start_all(squad, census, size, "sleeper", due)
    held = (peers.rss_kb() - rss) / size
    late = time.time() * 1000 - due
    while time.time() * 1000 < due:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    begin, spent = time.perf_counter(), time.process_time()
    while census.ended - begun < size:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    fired = time.perf_counter() - begin
    return {
        "sleeping": size,
        "starts_per_s": size / wall,
        "start_cpu_ms": cpu / size * 1e3,
        "rss_kb_each": held,
        "started_late_s": max(0.0, late / 1000),
        "due_to_done_s": fired,
        "fired_per_s": size / fired,
        "fire_cpu_ms": (time.process_time() - spent) / size * 1e3,
        "peak_mb": peak_mb(),
    }


async def agents(size: int, model_s: float) -> dict[str, float]:
    """Have agents take one turn each, all of them at once, journal on."""
    import agent
    from agentsquad.kernel.policy import PolicyEngine
    from agentsquad.kernel.ports import Clock, Entropy, EventStore
    from agentsquad.kernel.registry import Plugin, Registry
    from agentsquad.runtime.engine.door import Ports, World
    from agentsquad.runtime.engine.plugin import system_clock, system_entropy
    from agentsquad.runtime.engine.shell import EmbeddedEngine
    from agentsquad.runtime.ledger.contract import Ledger
    from agentsquad.runtime.ledger.plugin import open_ledger
    from agentsquad.runtime.resilience.admission import Admission
    from agentsquad.runtime.resilience.concurrency import Tuning
    from agentsquad.testing import AllowAll
    from agentsquad.workforce.agents.contract import AgentCatalogue, ModelCatalogue

    class Slow(agent.Clerk):
        """A model that takes its time."""

        async def complete(self, request: Any, *, deadline_ms: int | None = None) -> Any:
            """Answer after a while."""
            await asyncio.sleep(model_s)
            return await super().complete(request, deadline_ms=deadline_ms)

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        clock, entropy, clerk = system_clock(), system_entropy(), Slow()
        ledger = open_ledger(f"sqlite:///{place}/log.db", clock, entropy)
        # As SQUAD_RUNS_AT_ONCE does; the line holds all who come at once.
        tuning = Tuning(at_once_max=2 * size, at_once_first=2 * size, waiting_max=2 * size)
        ports = Ports(
            {
                EventStore: ledger.store,
                Ledger: ledger,
                PolicyEngine: AllowAll(),
                Clock: clock,
                Entropy: entropy,
                ModelCatalogue: clerk,
                AgentCatalogue: clerk,
                Admission: Admission(clock, entropy, tuning),
            }
        )
        registry = Registry.of(agent.agents, Plugin(name="bench", actions=(agent.status,)))
        squad = EmbeddedEngine(World(registry, ports))
        await squad.recover()
        found = await turns(squad, size, model_s)
        await squad.close()
        ledger.close()
        return found


async def turns(squad: Any, size: int, model_s: float) -> dict[str, float]:
    """Take turns, all at once, and look at most memory they hold."""
    answer = peers.ANSWER
    done = 0

    async def turn(number: int) -> None:
        nonlocal done
        value = {"agent": "clerk", "input": peers.QUESTION}
        outcome = await squad.wait(await squad.start("agent-turn", value))
        assert outcome.output == answer, outcome
        done += 1

    await asyncio.gather(*(turn(-1 - number) for number in range(20)))
    done = 0
    rss = peers.rss_kb()
    begin, cpu = time.perf_counter(), time.process_time()
    turns = [asyncio.create_task(turn(number)) for number in range(size)]
    most = held = 0.0
    while done < size:
        await asyncio.sleep(0.05)
        if len(squad.drives) > most:
            most, held = len(squad.drives), peers.rss_kb() - rss
    await asyncio.gather(*turns)
    wall = time.perf_counter() - begin
    return {
        "agents": size,
        "at_once": most,
        "rss_kb_each": held / most,
        "peak_mb": peak_mb(),
        "wall_s": wall,
        "turns_per_s": size / wall,
        "cpu_ms_per_turn": (time.process_time() - cpu) / size * 1e3,
        "model_s": 2 * model_s,
    }


async def apart(kind: str, size: int, place: Path) -> dict[str, float]:
    """Park runs in a folder that stays, or wake those that were parked in it by
    another process."""
    names = place / "ids"
    if kind == "wake":
        ids = Ids()
        for line in names.read_text().split():
            ids.add(line)
        return await wake(ids, place)
    parked, found = await begin(size, 0.0, place)
    assert parked is not None
    with names.open("w") as file:
        file.writelines(f"{parked[number]}\n" for number in range(len(parked)))
    return found


def main() -> None:
    """Run one cell, or rounds of everybody who is asked for."""
    if sys.argv[1:2] == ["cell"]:
        kind, size, seconds = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
        if len(sys.argv) > 5:
            print(json.dumps(asyncio.run(apart(kind, size, Path(sys.argv[5])))), flush=True)
            return
        job = agents(size, seconds) if kind == "agents" else park(size, seconds)
        print(json.dumps(asyncio.run(job)), flush=True)
        return
    parser = contest.arguments(__doc__, "--runs", 10_000)
    parser.add_argument("--timers", type=int, default=0, help="runs that sleep instead")
    parser.add_argument("--after-s", type=float, default=30.0, help="how long they sleep")
    parser.add_argument("--agents", type=int, default=0, help="agents at work at once instead")
    parser.add_argument("--model-s", type=float, default=20.0, help="how long a model call takes")
    options = parser.parse_args()
    rivals = contest.rivals_of(parser, options)
    cell: tuple[object, ...] = ("cell", "park", options.size, 0)
    if options.agents or options.timers:
        rivals = []
        cell = ("cell", "park", options.timers, options.after_s)
        if options.agents:
            cell = ("cell", "agents", options.agents, options.model_s)

    def words(name: str) -> tuple[str, str, tuple[object, ...]]:
        if name == "ours":
            return __file__, sys.executable, cell
        return peers.__file__, str(peers.interpreter(name)), (name, "park", options.size)

    os.environ.setdefault("BENCH_LIMIT_S", "60")  # a phase of a peer is cut off then
    found = contest.hold(["ours", *rivals], words, options.rounds, 3600)
    contest.tell(found, options.output)
    sys.exit(1 if "failed" in found["ours"] or found["ours"].get("lost") else 0)


if __name__ == "__main__":
    main()
