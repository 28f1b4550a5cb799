"""Measures the ledger on this machine's disk, beside what SQLite alone can do.

Appends by a thousand writers and by one; then, on a file of a million events
(`--quick`: a hundred thousand), opening, proofs and reading; and what a run ten
times as long costs in bytes. The raw figures insert rows of the same size in
the same portions through the same library with the same fsync: the ceiling.
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.engine.adapters.system import SystemClock, SystemEntropy
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.merkle import TileNodes, inclusion_proof, verify_inclusion
from agentsquad.runtime.ledger.plugin import open_ledger

WRITERS = 1_000
APPENDED = 100_000
ALONE = 400
PROOFS = 300


def step(run: int, number: int) -> NewEvent:
    """Return an event like those of a real run."""
    return NewEvent(
        stream=f"run/{run:026d}",
        type="step.completed",
        actor="agent:matcher",
        correlation=f"case/{run}",
        payload={
            "position": f"{number}",
            "action": "invoices.match",
            "output": {"amount": "1234.50", "currency": "USD", "lines": [1, 2, 3], "ok": True},
            "usage": [{"model": "rules", "input_tokens": 120, "cost_micros": 1_234}],
        },
    )


def opened(folder: Path) -> Ledger:
    """Open the ledger of a folder."""
    return open_ledger(f"sqlite:///{folder}/ledger.db", SystemClock(), SystemEntropy())


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return (seconds, result)."""
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


async def many_writers(folder: Path, writers: int, count: int) -> tuple[float, float, int, Path]:
    """Return (events/s, cpu µs/event, commits, file) of writers in flight."""
    ledger = opened(folder)

    async def write(run: int) -> None:
        for number in range(count // writers):
            await ledger.store.append([step(run, number)])

    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(write(run) for run in range(writers)))
    spent, cpu = time.perf_counter() - begin, time.process_time() - cpu
    commits = ledger.store.commits  # type: ignore[attr-defined]
    ledger.close()
    return count / spent, cpu / count * 1e6, commits, folder / "ledger.db"


def raw(folder: Path, batch: int, commits: int, header: int, payload: int) -> float:
    """Return commits/s of plain inserts in transactions with a full sync."""
    connection = apsw.Connection(str(folder / "raw.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 4_000)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, back INT, type INT,"
        " header BLOB, salt BLOB, payload BLOB)"
    )
    rows = [(1, 1, b"h" * header, b"s" * 16, b"p" * payload)] * batch
    begin = time.perf_counter()
    for _ in range(commits):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO event VALUES (NULL, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    spent = time.perf_counter() - begin
    connection.close()
    return commits / spent


async def fill(folder: Path, events: int) -> float:
    """Append in portions of a run's steps and return the seconds it took."""
    ledger = opened(folder)
    begin = time.perf_counter()
    for first in range(0, events, 1_000):
        await asyncio.gather(
            *(
                ledger.store.append([step(first + run, n) for n in range(20)])
                for run in range(0, 1_000, 20)
            )
        )
    spent = time.perf_counter() - begin
    ledger.close()
    return spent


async def proofs(ledger: Ledger, size: int) -> tuple[list[float], list[float]]:
    """Return milliseconds of random proofs, their tiles read each time, and
    those of the processor: a busy machine takes it away for ten at a time."""
    head = await ledger.store.head()
    chance, spent, worked = random.Random(7), [], []
    for _ in range(PROOFS):
        seq = chance.randint(1, size)
        begin, cpu = time.perf_counter(), time.process_time()
        record = await ledger.store.record(seq)
        path = inclusion_proof(seq - 1, size, TileNodes(ledger.store, size))
        spent.append((time.perf_counter() - begin) * 1e3)
        worked.append((time.process_time() - cpu) * 1e3)
        assert verify_inclusion(record.leaf, seq - 1, size, path, head.root)
    return spent, worked


async def bytes_of_run(folder: Path, steps: int) -> int:
    """Return the bytes of a ledger that holds one run, less an empty one's."""
    ledger = opened(folder)
    await ledger.store.append([step(0, 0)])
    empty = (folder / "ledger.db").stat().st_size
    for number in range(steps):
        await ledger.store.append([step(1, number)])
    ledger.close()
    return (folder / "ledger.db").stat().st_size - empty


def row(what: str, found: str, wanted: str = "") -> None:
    """Print a line of the table."""
    print(f"{what:<52} {found:>26}   {wanted}")


def measure_appends(base: Path) -> None:
    """Print the part about appending."""
    speed, cpu, commits, path = asyncio.run(many_writers(_new(base, "many"), WRITERS, APPENDED))
    row(f"{WRITERS:,} writers in flight, durable", f"{speed:,.0f} events/s", ">= 20,000")
    row("  commits (fsyncs) for that", f"{commits:,} for {APPENDED:,} events")
    row("  processor time", f"{cpu:.1f} µs/event")
    row("  file", f"{path.stat().st_size / APPENDED:,.0f} bytes/event")
    ceiling = raw(_new(base, "raw"), WRITERS, APPENDED // WRITERS, 420, 190) * WRITERS
    row("  raw SQLite, same rows and commits, no hashing", f"{ceiling:,.0f} events/s")
    speed, _, _, _ = asyncio.run(many_writers(_new(base, "one"), 1, ALONE))
    alone = raw(_new(base, "rawone"), 1, ALONE, 420, 190)
    row("one writer, one commit each", f"{1e6 / speed:,.0f} µs/append")
    row("  raw SQLite commit", f"{1e6 / alone:,.0f} µs/commit")


def measure_large(base: Path, events: int) -> None:
    """Print the part about a large file."""
    folder = _new(base, "large")
    spent = asyncio.run(fill(folder, events))
    row(f"appending {events:,} events, 20 at a time", f"{events / spent:,.0f} events/s")
    spent, ledger = timed(lambda: opened(folder))
    row(f"opening {events:,} events", f"{spent * 1e3:,.0f} ms", "< 1,000 ms")
    found, worked = asyncio.run(proofs(ledger, events))
    row("inclusion proof with its record, median", f"{statistics.median(found):.2f} ms")
    row("  slowest", f"{max(found):.2f} ms", "< 5 ms")
    row("  slowest by processor time", f"{max(worked):.2f} ms", "< 5 ms")
    spent, read = timed(lambda: asyncio.run(ledger.store.read(after=events // 2, limit=20_000)))
    row("reading with every check", f"{len(read) / spent:,.0f} events/s")
    spent, read = timed(lambda: asyncio.run(ledger.store.read_stream(read[0].stream)))
    row(f"reading a run of {len(read)} steps", f"{spent * 1e3:.2f} ms")
    ledger.close()


def measure_growth(base: Path) -> None:
    """Print what a run ten times as long costs."""
    short = asyncio.run(bytes_of_run(_new(base, "short"), 300))
    long = asyncio.run(bytes_of_run(_new(base, "long"), 3_000))
    row("bytes of a run 10 times as long", f"{long / short:.2f} times", "<= 10.5 times")


def _new(base: Path, name: str) -> Path:
    folder = base / name
    folder.mkdir()
    return folder


def main() -> None:
    """Run everything in a temporary folder."""
    events = 100_000 if "--quick" in sys.argv else 1_000_000
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-ledger-") as place:
        load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        print(f"Python {platform.python_version()}, SQLite {apsw.sqlitelibversion()}, {load}\n")
        row("the ledger on this disk", "measured", "wanted")
        measure_appends(Path(place))
        measure_growth(Path(place))
        measure_large(Path(place), events)


if __name__ == "__main__":
    main()
