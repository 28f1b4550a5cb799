"""Measures chains of five durable steps over PostgreSQL, beside LangGraph on
the same server and beside ourselves on SQLite.

Everybody does it in turns, in a process of its own, `--rounds` times; the
middle of the rounds is told. The server is one of this machine's own (fsync and
synchronous_commit on); its processor time is counted apart, since it is not the
client's. LangGraph has a pool of 20 connections and durability "sync"; ours has
one connection, the lease, and every commit under its token. LangGraph is there
when bench/peers.py installed it and `langgraph-checkpoint-postgres` is beside
it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import peers

FIGURES = ("steps_per_s", "p50_ms", "p99_ms", "cpu_ms_per_workflow", "server_cpu_ms", "rss_mb")
NAMES = {"steps_s": "steps_per_s", "cpu_ms": "cpu_ms_per_workflow"}
CONTESTANTS = ("ours", "sqlite", "langgraph")
DURABILITY = {
    "ours": "PostgreSQL, synchronous_commit on: the start and the outcome are told after their"
    " commit; a step that only reads may go on up to 64 events ahead of it",
    "sqlite": "the same on SQLite WAL, synchronous FULL",
    "langgraph": "PostgreSQL, synchronous_commit on, durability='sync': each step is awaited",
}
SPARE_S = 60


def services() -> Any:
    """Return the tool that keeps servers for tests."""
    path = Path(__file__).parents[1] / "tools" / "services.py"
    spec = importlib.util.spec_from_file_location("squad_services", path)
    assert spec and spec.loader
    sys.modules["squad_services"] = found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def server_cpu_s(pid: int) -> float:
    """Return the processor time of the server and all it started, ended ones
    included."""
    ticks = 0
    for one in (pid, *_children(pid)):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        ticks += sum(map(int, fields[11:15] if one == pid else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def cell(who: str, width: int, seconds: float, url: str) -> dict[str, float]:
    """Measure one contestant in this process."""
    if who == "langgraph":
        return await langgraph(width, seconds, url)
    import engine

    store = f"{url}?schema=b{os.getpid()}" if who == "ours" else None
    async with engine.engine(store=store) as squad:

        async def run(number: int) -> None:
            outcome = await squad.wait(await squad.start("chained", peers.PAYLOAD))
            assert outcome.output["id"] == peers.STEPS

        return await peers.chain(run, width, seconds)


async def langgraph(width: int, seconds: float, url: str) -> dict[str, float]:
    """LangGraph over its PostgreSQL saver."""
    from langgraph.checkpoint.postgres.aio import (  # type: ignore[import-not-found]
        AsyncPostgresSaver,
    )
    from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]
    from psycopg import AsyncConnection
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool  # type: ignore[import-not-found]

    async def step(state: peers.State) -> peers.State:
        return {"id": state["id"] + 1, "data": state["data"]}

    graph = StateGraph(peers.State)
    names = [f"step{number}" for number in range(peers.STEPS)]
    for name in names:
        graph.add_node(name, step)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    schema = f"lg{os.getpid()}"
    async with await AsyncConnection.connect(url, autocommit=True) as admin:
        await admin.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    options["options"] = f"-c search_path={schema}"
    async with AsyncConnectionPool(url, min_size=20, max_size=20, kwargs=options) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        built = graph.compile(checkpointer=saver)

        async def run(number: int) -> None:
            config = {"configurable": {"thread_id": f"c{number}"}}
            found = await built.ainvoke(peers.PAYLOAD, config, durability="sync")
            assert found["id"] == peers.STEPS

        return await peers.chain(run, width, seconds)


def rounds(names: list[str], width: int, seconds: float, count: int) -> dict[str, list[Any]]:
    """Measure everybody in turns, the second round in the opposite order."""
    server = services().lease("postgresql")
    found: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(count):
        for name in names if number % 2 == 0 else names[::-1]:
            python = peers.interpreter("langgraph") if name == "langgraph" else sys.executable
            before = server_cpu_s(int(server["pid"]))
            words = ("cell", name, width, seconds, server["url"])
            line = peers.measured(
                __file__, str(python), *words, timeout_s=int(SPARE_S + 4 * seconds)
            )
            line = {NAMES.get(key, key): value for key, value in line.items()}
            if "failed" not in line:
                flows = line["steps_per_s"] * seconds / peers.STEPS
                spent = server_cpu_s(int(server["pid"])) - before
                line["server_cpu_ms"] = spent / flows * 1e3 if name != "sqlite" else 0.0
            print(json.dumps({name: line}), file=sys.stderr, flush=True)
            found[name].append(line)
    return found


def summary(name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the middle of what one contestant did, or why it did nothing."""
    told = [line for line in lines if "failed" not in line]
    if not told:
        return {"failed": lines[-1]["failed"], "durability": DURABILITY[name]}
    middle = {n: round(statistics.median(line[n] for line in told), 4) for n in FIGURES}
    return {**middle, "durability": DURABILITY[name]}


def table(found: dict[str, dict[str, Any]]) -> None:
    """Print it for people."""
    print(f"{'':<11}{'steps/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'cpu ms':>9}{'server':>9}{'MB':>7}")
    for name, one in found.items():
        if "failed" in one:
            print(f"{name:<11}{one['failed'][-100:]}")
            continue
        rest = (
            f"{one['cpu_ms_per_workflow']:>9.2f}{one['server_cpu_ms']:>9.2f}{one['rss_mb']:>7.0f}"
        )
        print(
            f"{name:<11}{one['steps_per_s']:>9,.0f}{one['p50_ms']:>9.2f}{one['p99_ms']:>9.2f}{rest}"
        )


def main(words: list[str]) -> None:
    """Measure and tell, or be one contestant's process."""
    if words[:1] == ["cell"]:
        _, who, width, seconds, url = words
        print(json.dumps(asyncio.run(cell(who, int(width), float(seconds), url))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", dest="others", default="sqlite,langgraph")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    given = parser.parse_args(words)
    names = ["ours", *(name for name in given.others.split(",") if name in CONTESTANTS[1:])]
    if "langgraph" in names and peers.interpreter("langgraph") is None:
        names.remove("langgraph")
    lines = rounds(names, given.in_flight, given.seconds, given.rounds)
    found = {name: summary(name, lines[name]) for name in names}
    if given.form == "json":
        print(json.dumps(found))
    else:
        table(found)


if __name__ == "__main__":
    main(sys.argv[1:])
