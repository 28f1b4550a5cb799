"""Measures chains of five durable steps that do nothing, beside a bare loop and
beside peers.

`--in-flight N` chains are under way at once for `--seconds S`; everybody does
it in turns, in a process of its own, `--rounds` times, and the middle of the
rounds is told. `loop` is no engine but the ceiling: coroutines that put seven
records each (start, five steps, end) to one writer thread, which commits what
queued up meanwhile to SQLite (WAL, synchronous FULL), each record awaited. It
keeps no history of types, digests or links, and can neither resume nor prove.
Peers are those that bench/peers.py installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import peers

FIGURES = ("steps_per_s", "p50_ms", "p99_ms", "cpu_ms_per_workflow", "rss_mb")
NAMES = {"steps_s": "steps_per_s", "cpu_ms": "cpu_ms_per_workflow"}
ROUNDS = 3
SPARE_S = 120  # for set-up, and for what is under way when time is up
PEERS = ("restate", "langgraph", "dbos")
DURABILITY = {
    "ours": "SQLite WAL, synchronous FULL: the start and the outcome are told after their fsync;"
    " a step that only reads may go on up to 64 events ahead of the disk",
    "loop": "SQLite WAL, synchronous FULL: each of 7 records is awaited before the next",
    "restate": "RocksDB log with WAL sync: each step is awaited; commits are grouped",
    "langgraph": "SQLite WAL, synchronous FULL, durability='sync': each step is awaited",
    "dbos": "SQLite as it comes (rollback journal, synchronous FULL): each step is awaited",
}


class Loop:
    """The ceiling: a journal that is written in groups by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: list[tuple[tuple[int, int, str], asyncio.Future[None]]] = []
        self._some = threading.Event()
        self._ended = False
        self.commits = 0
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def put(self, row: tuple[int, int, str]) -> asyncio.Future[None]:
        """Return what is done as soon as the row is on the disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.append((row, future))
        self._some.set()
        return future

    def _write(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(
            "CREATE TABLE record (run INT, step INT, body TEXT, PRIMARY KEY (run, step))"
            " WITHOUT ROWID"
        )
        while not self._ended:
            self._some.wait()
            self._some.clear()
            batch, self._queue = self._queue, []
            if not batch:
                continue
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO record VALUES (?, ?, ?)", [row for row, _ in batch])
            db.execute("COMMIT")
            self.commits += 1
            self._loop.call_soon_threadsafe(self._done, [future for _, future in batch])
        db.close()

    @staticmethod
    def _done(futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            future.set_result(None)

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._some.set()
        self._thread.join()

    async def chained(self, number: int) -> None:
        """Start, five steps and the end, each awaited."""
        value = dict(peers.PAYLOAD)
        await self.put((number, 0, json.dumps(value)))
        for step in range(peers.STEPS):
            value = {"id": int(value["id"]) + 1, "data": value["data"]}
            await self.put((number, step + 1, json.dumps(value)))
        assert value["id"] == peers.STEPS
        await self.put((number, peers.STEPS + 1, json.dumps(value)))


async def cell(who: str, width: int, seconds: float) -> dict[str, float]:
    """Measure one contestant in this process."""
    if who == "loop":
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
            loop = Loop(Path(folder, "loop.db"))
            found = await measure(loop.chained, loop, width, seconds)
            loop.close()
            return {**found, "disk_b": peers.weigh(folder) / found["steps"]}
    import engine

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        async with engine.engine(place=folder) as squad:

            async def run(number: int) -> None:
                outcome = await squad.wait(await squad.start("chained", peers.PAYLOAD))
                assert outcome.output["id"] == peers.STEPS

            found = await measure(run, squad.world.store, width, seconds)
        return {**found, "disk_b": peers.weigh(folder) / found["steps"]}


async def measure(job: peers.Job, store: Any, width: int, seconds: float) -> dict[str, float]:
    """Measure after a warm-up, and count the syncs."""
    await peers.flow(job, min(width, 20), count=50)
    before = store.commits
    numbers = lambda number: job(number + 50)  # noqa: E731 - those below are taken
    took, wall, cpu = await peers.flow(numbers, width, seconds=seconds)
    return {
        **peers.chain_figures(took, wall, cpu),
        "syncs_per_workflow": (store.commits - before) / len(took),
    }


def rounds(names: list[str], width: int, seconds: float, count: int) -> dict[str, list[Any]]:
    """Measure everybody in turns, the second round in the opposite order."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    limit = int(SPARE_S + 4 * seconds)
    for number in range(count):
        for name in names if number % 2 == 0 else names[::-1]:
            script, python, args = __file__, sys.executable, ("cell", name, width, seconds)
            if name in PEERS:
                script, python = peers.__file__, str(peers.interpreter(name))
                args = (name, "chain", width, seconds)  # type: ignore[assignment]
            line = peers.measured(script, python, *args, timeout_s=limit)
            line = {NAMES.get(key, key): value for key, value in line.items()}
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


def table(found: dict[str, dict[str, Any]], lines: dict[str, list[Any]]) -> None:
    """Print it for people; ratios are those within the rounds."""
    heads = f"{'steps/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'cpu ms':>9}{'MB':>7}{'B/step':>8}"
    print(f"{'':<11}{heads}{'range':>17}  ours is")
    for name, one in found.items():
        if "failed" in one:
            print(f"{name:<11}{one['failed'][-100:]}")
            continue
        told = [line for line in lines[name] if "failed" not in line]
        low, *_, high = sorted([line["steps_per_s"] for line in told] * 2)
        pairs = [
            (mine["steps_per_s"], theirs["steps_per_s"])
            for mine, theirs in zip(lines["ours"], lines[name], strict=True)
            if "failed" not in mine and "failed" not in theirs
        ]
        times = statistics.median(a / b for a, b in pairs) if pairs and name != "ours" else None
        print(
            f"{name:<11}{one['steps_per_s']:>9,.0f}{one['p50_ms']:>9.2f}{one['p99_ms']:>9.2f}"
            f"{one['cpu_ms_per_workflow']:>9.3f}{one['rss_mb']:>7.1f}"
            f"{statistics.median(line['disk_b'] for line in told):>8,.0f}"
            f"{f'{low:,.0f}-{high:,.0f}':>17}"
            f"  {'' if times is None else f'{times:.2f} times as fast'}"
        )
    for name in found:
        print(f"{name}: {DURABILITY[name]}")
    print(f"conditions at the end: {peers.conditions()}")


def main() -> None:
    """Run one cell, or rounds of everybody who is asked for."""
    if sys.argv[1:2] == ["cell"]:
        who, width, seconds = sys.argv[2:]
        print(json.dumps(asyncio.run(cell(who, int(width), float(seconds)))), flush=True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    there = [name for name in PEERS if peers.interpreter(name)]
    parser.add_argument("--with", dest="rivals", default=",".join(["loop", *there]))
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    rivals = [name for name in options.rivals.split(",") if name]
    for name in rivals:
        if name not in DURABILITY or name == "ours":
            parser.error(f"--with {name}: expected some of loop, {', '.join(PEERS)}")
        if name in PEERS and name not in there:
            parser.error(f"{name} is not installed: python bench/peers.py install")
    if options.in_flight < 1 or options.seconds <= 0 or options.rounds < 1:
        parser.error("--in-flight, --seconds and --rounds must be above zero")
    lines = rounds(["ours", *rivals], options.in_flight, options.seconds, options.rounds)
    found = {name: summary(name, told) for name, told in lines.items()}
    if options.output == "json":
        print(json.dumps(found))
    else:
        table(found, lines)
    sys.exit(1 if "failed" in found["ours"] else 0)


if __name__ == "__main__":
    main()
