"""Drives a real event store as registers and as growing texts, and writes down
what its callers asked and were answered.

A stream is a register whose value is what its last event says: an append that
expects a version is a `cas`, one that expects nothing a `write`. Another stream
is a text that every event lengthens: reading it whole shows the order of all
appends. `python tests/conformance/store_workload.py FOLDER` does so with many
processes, some of them killed, and leaves `cells.jsonl` (model register) and
`texts.jsonl` (model kv) in the folder.

An append that conflicts, or is refused because the disk is full or the log
busy, is written down as failed: the store says that it left no trace. Any other
error leaves the outcome unknown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from agentsquad.kernel.errors import ConflictError, SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine.adapters.system import SystemClock, SystemEntropy
from agentsquad.runtime.ledger.contract import (
    BusyError,
    FullError,
    LapsedError,
    PoisonedError,
    UnreachableError,
)
from agentsquad.runtime.ledger.plugin import open_ledger

CELLS, TEXTS = 3, 2
NO_TRACE = (ConflictError, FullError, BusyError, LapsedError, UnreachableError)
NAMES = {"register": "cells.jsonl", "kv": "texts.jsonl"}


class Tape:
    """What happened, in memory and in a file that outlives its process."""

    def __init__(
        self, path: Path | None = None, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self._clock = clock  # one for all processes
        self._file = None if path is None else os.open(path, os.O_CREAT | os.O_WRONLY)

    def note(self, event: dict[str, Any]) -> None:
        """Write an event down before anything follows from it."""
        event["time"] = self._clock()
        self.events.append(event)
        if self._file is not None:
            os.write(self._file, json.dumps(event).encode() + b"\n")


class Seat:
    """Waits until events that have their place are durable there."""

    def __init__(self) -> None:
        self.durable: asyncio.Future[list[Event]] = asyncio.get_running_loop().create_future()

    def stands(self, before: list[Event], now: list[Event]) -> bool:
        """Whatever place they have in the end is right."""
        return True

    def settled(self, error: SquadError | None, events: list[Event]) -> None:
        """Hear how it ended."""
        if self.durable.done():
            return
        if error is None:
            self.durable.set_result(events)
        else:
            self.durable.set_exception(error)


class Caller:
    """One caller, doing one thing after another; a new process in the history
    after each outcome it did not learn.
    """

    def __init__(self, tape: Tape, name: str, store: Any, chance: random.Random) -> None:
        self._tape, self._name, self._store, self._chance = tape, name, store, chance
        self._lives = 0
        self._count = 0
        self._known: dict[str, tuple[int, Any]] = {}

    async def work(self, operations: int) -> None:
        """Do so many operations, or fewer if the log is poisoned."""
        for _ in range(operations):
            if not await self.act():
                return

    async def act(self) -> bool:
        """Do one operation; False when the log must be opened again."""
        self._count += 1
        if self._chance.random() < 0.5:
            stream = f"cell/{self._chance.randrange(CELLS)}"
            f = self._chance.choice(("read", "cas", "cas", "write"))
        else:
            stream = f"text/{self._chance.randrange(TEXTS)}"
            f = self._chance.choice(("get", "append", "append"))
        begun = {"process": f"{self._name}.{self._lives}", "f": f, "key": stream}
        begun["model"] = "register" if stream.startswith("cell") else "kv"
        if f in ("read", "get"):
            return await self._read(begun)
        return await self._append(begun)

    async def _read(self, begun: dict[str, Any]) -> bool:
        stream = begun["key"]
        self._tape.note({**begun, "type": "invoke"})
        try:
            events = await self._store.read_stream(stream)
        except SquadError:
            self._tape.note({**begun, "type": "fail"})
            return True
        values = [event.payload["value"] for event in events]
        if begun["f"] == "read":
            self._known[stream] = (len(events), values[-1] if values else None)
        value = "".join(values) if begun["f"] == "get" else self._known[stream][1]
        self._tape.note({**begun, "type": "ok", "value": value})
        return True

    async def _append(self, begun: dict[str, Any]) -> bool:
        stream, fresh = begun["key"], f"{begun['process']}#{self._count};"
        version, seen = self._known.get(stream, (0, None))
        expect = {stream: version} if begun["f"] == "cas" else None
        begun["value"] = [seen, fresh] if begun["f"] == "cas" else fresh
        event = NewEvent(stream=stream, type="test.set", payload={"value": fresh})
        self._tape.note({**begun, "type": "invoke"})
        try:
            [stored] = await self._write(event, expect)
        except NO_TRACE:
            self._tape.note({**begun, "type": "fail"})
            self._known.pop(stream, None)
            return True
        except SquadError as error:
            self._tape.note({**begun, "type": "info"})
            self._lives += 1
            return not isinstance(error, PoisonedError)
        self._tape.note({**begun, "type": "ok"})
        self._known[stream] = (stored.stream_seq, fresh)
        return True

    async def _write(self, event: NewEvent, expect: dict[str, int] | None) -> list[Event]:
        """Append, or take a place first as the engine does."""
        if not hasattr(self._store, "place") or self._chance.random() < 0.6:
            events: list[Event] = await self._store.append([event], expect=expect)
            return events
        seat = Seat()
        self._store.place([event], holder=seat, expect=expect)
        return await seat.durable


def split(events: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return events of several tapes in the order of time, by model."""
    ordered = sorted(events, key=lambda event: (event["time"], event["type"] != "invoke"))
    return {
        model: [
            {key: value for key, value in event.items() if key != "model"}
            for event in ordered
            if event["model"] == model
        ]
        for model in NAMES
    }


async def work(url: str, path: Path, name: str, callers: int, operations: int) -> None:
    """Be one process: several callers on two connections."""
    ledgers = [open_ledger(url, SystemClock(), SystemEntropy()) for _ in range(2)]
    tape = Tape(path)
    print("ready", flush=True)
    sys.stdin.readline()

    async def one(number: int) -> None:
        chance = random.Random(f"{name}/{number}")
        caller = Caller(tape, f"{name}{number}", ledgers[number % 2].store, chance)
        for _ in range(operations):
            if not await caller.act():
                return
            print(flush=True)

    await asyncio.gather(*(one(number) for number in range(callers)))
    for ledger in ledgers:
        ledger.close()


def record(
    folder: Path,
    *,
    workers: int = 3,
    kills: int = 3,
    callers: int = 3,
    operations: int = 60,
    url: str | None = None,
    disturb: Callable[[int], None] = lambda number: None,
) -> dict[str, list[dict[str, Any]]]:
    """Let processes work on one store at once, kill some, and return what all
    saw, by model.

    Those that will be killed work until they are; the last worker begins after
    that, and so sees what they left. `disturb` is called after each of them was
    killed, to do to a server what it can stand.
    """
    tapes: list[Path] = []
    address = url or f"sqlite:///{folder}/ledger.db"

    def start(name: str, many: int) -> subprocess.Popen[bytes]:
        tapes.append(folder / f"tape-{name}jsonl")
        words = [address, str(tapes[-1]), name, str(callers), str(many)]
        worker = subprocess.Popen(
            [sys.executable, __file__, "--worker", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert worker.stdout is not None
        return worker

    victims = [start(f"victim{number}.", 1_000_000) for number in range(kills)]
    others = [start(f"worker{number}.", operations) for number in range(workers - 1)]
    for worker in victims + others:
        assert worker.stdout is not None and worker.stdin is not None
        worker.stdout.readline()
    for worker in victims + others:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    for number, victim in enumerate(victims):
        assert victim.stdout is not None
        for _ in range(5 + 23 * number):
            victim.stdout.readline()
        victim.kill()
        victim.communicate()
        disturb(number)
    others.append(start("last.", operations))
    for worker in others:
        worker.communicate(b"go\n" if worker is others[-1] else None, timeout=120)
        if worker.returncode:
            raise AssertionError("a worker failed")
    return split(
        json.loads(line)
        for tape in tapes
        for line in tape.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    )


def main(words: Sequence[str]) -> None:
    """Record into a folder, or be one of the processes that are recorded."""
    if words[:1] == ["--worker"]:
        url, path, name, callers, operations = words[1:]
        asyncio.run(work(url, Path(path), name, int(callers), int(operations)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="a store elsewhere, postgresql://…; default a file there")
    for option, default in (("workers", 3), ("kills", 3), ("callers", 3), ("operations", 60)):
        parser.add_argument(f"--{option}", type=int, default=default)
    options = vars(parser.parse_args(words))
    folder = options.pop("folder").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for model, events in record(folder, **options).items():
        path = folder / NAMES[model]
        path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
        print(f"squad consistency check {path} --model {model}")


if __name__ == "__main__":
    main(sys.argv[1:])
