"""Measures what a `kill -9` costs: runs in the middle of their work when the
process dies, and how soon all goes on.

`--runs N` chains of five steps are under way at once in a process of their own;
each step takes 20 ms, in which it only waits, and writes a line to a file when
it is done. Half-way the process is killed. What counts: the time from the start
of the next process until it has completed a new run (`working_again_s`) and
until all runs that were acknowledged have ended (`all_done_s`); how many steps
were done more than once, and of these how many whose result was acknowledged,
that is durable, at the kill (`acknowledged_again`, which must be 0 for ours).
`--parked M` has so many waiting runs lie beside them. LangGraph has no recovery
of its own: the client names each thread and asks for it to go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import contest
import peers

STEPS = peers.STEPS
PATIENCE_S = 300.0
STEP_S = 0.02


class Lines:
    """A file that every process adds lines to; a line is whole or not there."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def add(self, *words: object) -> None:
        """Add a line."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


# --- ours ---------------------------------------------------------------------


class Allow:
    """A policy that allows everything."""

    revision = "sha256:allow"

    def decide(self, question: Any) -> Any:
        """Allow."""
        from agentsquad.kernel.policy import Decision

        return Decision(allow=True, reason="bench", revision=self.revision, clauses=("all",))

    def query(self, path: str, value: Any) -> Any:
        """Answer nothing."""


def opened(place: Path) -> Any:
    """Return an engine over a log, and that; admission lets all in."""
    import msgspec

    from agentsquad.assembly.main import spare_collector
    from agentsquad.kernel.action import Effect, action
    from agentsquad.kernel.policy import PolicyEngine
    from agentsquad.kernel.ports import Clock, Entropy, EventStore
    from agentsquad.kernel.registry import Plugin, Registry
    from agentsquad.runtime.engine.contract import workflow
    from agentsquad.runtime.engine.door import Ports, World
    from agentsquad.runtime.engine.plugin import system_clock, system_entropy
    from agentsquad.runtime.engine.shell import EmbeddedEngine
    from agentsquad.runtime.ledger.contract import Ledger
    from agentsquad.runtime.ledger.plugin import open_ledger
    from agentsquad.runtime.resilience.admission import Admission
    from agentsquad.runtime.resilience.concurrency import Tuning

    lines = Lines(place / "steps")

    class Payload(msgspec.Struct):
        id: int
        data: str

    globals()["Payload"] = Payload  # annotations are read by name

    @action("bench.step", effect=Effect.READ)
    async def step(ctx: Any, value: Payload) -> Payload:
        """Count on, and say so."""
        await asyncio.sleep(STEP_S)
        lines.add(ctx.run_id, value.id)
        return Payload(value.id + 1, value.data)

    @workflow("chained")
    async def chained(ctx: Any, value: Payload) -> Payload:
        for _ in range(STEPS):
            value = await ctx.call("bench.step", value)
        return value

    @workflow("parked")
    async def parked(ctx: Any, value: Payload) -> Any:
        return await ctx.signal("go")

    spare_collector()  # as the program does when it opens an installation
    clock, entropy = system_clock(), system_entropy()
    ledger = open_ledger(f"sqlite:///{place}/log.db", clock, entropy)
    every = 10**9
    ports = Ports(
        {
            EventStore: ledger.store,
            Ledger: ledger,
            PolicyEngine: Allow(),
            Clock: clock,
            Entropy: entropy,
            Admission: Admission(clock, entropy, Tuning(at_once_max=every, at_once_first=every)),
        }
    )
    plugin = Plugin(name="bench", actions=(step,), workflows=(chained, parked))
    return EmbeddedEngine(World(Registry.of(plugin), ports)), ledger


async def ours_run(count: int, parked: int, place: Path) -> None:
    """Park some, then have all the others under way, until somebody kills."""
    squad, _ = opened(place)
    await squad.recover()
    acknowledged = Lines(place / "acknowledged")

    async def park(number: int) -> None:
        await squad.start("parked", peers.PAYLOAD)

    await peers.flow(park, 100, count=parked)
    (place / "ready").touch()

    async def one(number: int) -> None:
        run = await squad.start("chained", peers.PAYLOAD)
        acknowledged.add(run)
        await squad.wait(run)

    await asyncio.gather(*(one(number) for number in range(count)))


async def ours_back(count: int, place: Path) -> dict[str, float]:
    """Open again: complete a new run, then all that were acknowledged."""
    begin, cpu = time.perf_counter(), time.process_time()
    squad, ledger = opened(place)
    await squad.recover(wait=False)
    assert (await squad.wait(await squad.start("chained", peers.PAYLOAD))).status == "completed"
    working, spent = time.perf_counter() - begin, time.process_time() - cpu
    (place / "working").touch()
    runs = (place / "acknowledged").read_text().split()
    ended = 0
    for run in runs:
        ended += (await squad.wait(run)).output["id"] == STEPS
    await squad.recover()
    done = time.perf_counter() - begin
    left = await squad.waiting.busy()
    await squad.close()
    ledger.close()
    return {
        "acknowledged": len(runs),
        "completed": ended,
        "left": len(left),
        "open_to_working_s": working,
        "open_to_working_cpu_s": spent,
        "open_to_done_s": done,
        "open_to_done_cpu_s": time.process_time() - cpu,
    }


def durable(place: Path) -> set[str]:
    """Return the steps whose result is in the log, as lines of the steps."""
    from agentsquad.runtime.engine.plugin import system_clock, system_entropy
    from agentsquad.runtime.ledger.plugin import open_ledger

    async def read() -> set[str]:
        ledger = open_ledger(f"sqlite:///{place}/log.db", system_clock(), system_entropy())
        found: set[str] = set()
        after = 0
        while page := await ledger.store.read(after=after, limit=5000, types=("step.completed",)):
            found |= {f"{e.stream.removeprefix('run/')} {e.payload['input']['id']}" for e in page}
            after = page[-1].seq
        ledger.close()
        return found

    return asyncio.run(read())


# --- peers --------------------------------------------------------------------


async def langgraph(phase: str, count: int, place: Path) -> dict[str, float]:
    """LangGraph over its SQLite saver, durable before each next step."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # type: ignore[import-not-found]
    from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]

    lines = Lines(place / "steps")

    async def step(state: Any, config: Any) -> Any:
        await asyncio.sleep(STEP_S)
        lines.add(config["configurable"]["thread_id"], state["id"])
        return {"id": state["id"] + 1, "data": state["data"]}

    step.__annotations__ = {}
    begin = time.perf_counter()
    async with AsyncSqliteSaver.from_conn_string(f"{place}/lg.db") as saver:
        graph = StateGraph(peers.State)
        names = [f"step{number}" for number in range(STEPS)]
        for name in names:
            graph.add_node(name, step)
        for before, after in zip([START, *names], [*names, END], strict=True):
            graph.add_edge(before, after)
        built = graph.compile(checkpointer=saver)

        async def go(value: Any, name: str) -> Any:
            config = {"configurable": {"thread_id": name}}
            return await built.ainvoke(value, config, durability="sync")

        if phase == "run":
            (place / "ready").touch()
            await asyncio.gather(*(go(peers.PAYLOAD, f"c{number}") for number in range(count)))
            return {}
        await go(peers.PAYLOAD, "new")
        working = time.perf_counter() - begin
        (place / "working").touch()
        ended = lost = 0

        async def back(name: str) -> None:
            nonlocal ended, lost
            config = {"configurable": {"thread_id": name}}
            state = await built.aget_state(config)
            if not state.values and not state.next:
                lost += 1
                return
            value = await go(None, name) if state.next else state.values
            ended += value["id"] == STEPS

        await asyncio.gather(*(back(f"c{number}") for number in range(count)))
        return {
            "acknowledged": count - lost,
            "completed": ended,
            "open_to_working_s": working,
            "open_to_done_s": time.perf_counter() - begin,
        }


async def dbos(phase: str, count: int, place: Path) -> dict[str, float]:
    """DBOS on SQLite as it sets it up; it continues what is pending by
    itself."""
    import dbos as product  # type: ignore[import-not-found]

    lines = Lines(place / "steps")
    begin = time.perf_counter()
    url = f"sqlite:///{place}/dbos.db"
    product.DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})

    @product.DBOS.step()  # type: ignore[untyped-decorator]
    async def step(value: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(STEP_S)
        lines.add(product.DBOS.workflow_id, value["id"])
        return {"id": value["id"] + 1, "data": value["data"]}

    @product.DBOS.workflow()  # type: ignore[untyped-decorator]
    async def chained(value: dict[str, Any]) -> dict[str, Any]:
        for _ in range(STEPS):
            value = await step(value)
        return value

    product.DBOS.launch()
    if phase == "run":
        (place / "ready").touch()
        await asyncio.gather(*(chained(peers.PAYLOAD) for _ in range(count)))
        return {}
    await chained(peers.PAYLOAD)
    working = time.perf_counter() - begin
    (place / "working").touch()
    while True:
        known = await product.DBOS.list_workflows_async(load_input=False, load_output=False)
        ended = sum(one.status == "SUCCESS" for one in known)
        if ended == len(known) or time.perf_counter() - begin > PATIENCE_S:
            break
        await asyncio.sleep(0.1)
    return {
        "acknowledged": len(known) - 1,
        "completed": ended - 1,
        "open_to_working_s": working,
        "open_to_done_s": time.perf_counter() - begin,
    }


SIDES = {"langgraph": langgraph, "dbos": dbos}


# --- killing ------------------------------------------------------------------


def lines_of(place: Path) -> list[str]:
    """Return the lines written by now."""
    path = place / "steps"
    return path.read_text().splitlines() if path.exists() else []


def spawn(who: str, phase: str, count: int, parked: int, place: Path) -> subprocess.Popen[str]:
    """Start a contestant in a process group of its own."""
    python = sys.executable if who == "ours" else str(peers.interpreter(who))
    words = [python, __file__, "side", who, phase, str(count), str(parked), str(place)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)


def crash(who: str, count: int, parked: int) -> dict[str, Any]:
    """Let a contestant run, kill it half-way, let it come back, and count."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        place = Path(folder)
        half = count * STEPS // 2
        child = spawn(who, "run", count, parked, place)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and child.poll() is None:
            if (place / "steps").exists() and len(lines_of(place)) >= half:
                break
            time.sleep(0.002)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        before = lines_of(place)
        known = durable(place) if who == "ours" else set()
        begin = time.perf_counter()
        child = spawn(who, "back", count, parked, place)
        while not (place / "working").exists() and child.poll() is None:
            time.sleep(0.001)
        working = time.perf_counter() - begin
        told, _ = child.communicate(timeout=PATIENCE_S + 60)
        found = json.loads([line for line in told.splitlines() if line.startswith('{"')][-1])
        after = lines_of(place)[len(before) :]
        again = [line for line, times in Counter([*before, *after]).items() if times > 1]
        found |= {
            "working_again_s": working,
            "all_done_s": working + found["open_to_done_s"] - found["open_to_working_s"],
            "steps_at_kill": len(before),
            "steps_again": len(again),
        }
        if who == "ours":
            found["acknowledged_again"] = len(known.intersection(after))
            found["durable_at_kill"] = len(known)
        return found


def main() -> None:
    """Run one side, one cell, or rounds of everybody who is asked for."""
    if sys.argv[1:2] == ["side"]:
        who, phase, count, parked, folder = sys.argv[2:]
        place = Path(folder)
        if who != "ours":
            found = asyncio.run(SIDES[who](phase, int(count), place))
        elif phase == "run":
            asyncio.run(ours_run(int(count), int(parked), place))
            found = {}
        else:
            found = asyncio.run(ours_back(int(count), place))
        print(json.dumps(found), flush=True)
        os._exit(0)  # some peers leave threads behind
    if sys.argv[1:2] == ["cell"]:
        print(json.dumps(crash(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))), flush=True)
        return
    parser = contest.arguments(__doc__, "--runs", 200)
    parser.add_argument("--parked", type=int, default=0, help="runs of ours that wait beside them")
    options = parser.parse_args()
    rivals = [name for name in contest.rivals_of(parser, options) if name in SIDES]

    def words(name: str) -> tuple[str, str, tuple[object, ...]]:
        parked = options.parked if name == "ours" else 0
        return __file__, sys.executable, ("cell", name, options.size, parked)

    found = contest.hold(["ours", *rivals], words, options.rounds, 900)
    contest.tell(found, options.output)
    mine = found["ours"]
    well = "failed" not in mine and mine["acknowledged"] == mine["completed"]
    sys.exit(0 if well and not mine["acknowledged_again"] else 1)


if __name__ == "__main__":
    main()
