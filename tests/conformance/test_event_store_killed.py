"""A process killed at any moment loses no event it was told is durable, and the
cache of stream ends never changes an answer.
"""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agentsquad.kernel.errors import ConflictError
from agentsquad.runtime.ledger import log


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "conformance" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


kit = load("ledger_kit")

WRITER = """
import asyncio, sys
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.engine.adapters.system import SystemClock, SystemEntropy
from agentsquad.runtime.ledger.plugin import open_ledger

async def main(url):
    ledger = open_ledger(url, SystemClock(), SystemEntropy())
    async def write(name):
        number = 0
        while True:
            body = {"n": number, "x": "y" * 700}
            event = NewEvent(stream=f"{sys.argv[2]}/{name}", type="a.b", payload=body)
            events = await ledger.store.append([event] * (1 + number % 3))
            number += 1
            sys.stdout.write("".join(f"{e.seq} {e.stream} {e.payload_digest}\\n" for e in events))
            sys.stdout.flush()
    await asyncio.gather(*(write(name) for name in range(5)))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", kit.KEPT)
def test_a_process_killed_while_appending_loses_nothing_it_was_told(
    kind: str, tmp_path: Path
) -> None:
    url = kit.url_of(kind, tmp_path)
    told: dict[int, tuple[str, str]] = {}
    for turn in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(turn)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        lines = [writer.stdout.readline() for _ in range(40 + 97 * turn)]
        writer.kill()
        lines += writer.stdout.read().splitlines(keepends=True)
        writer.stdout.close()
        writer.wait()
        for line in lines:
            if line.endswith("\n"):
                seq, stream, digest = line.split()
                assert int(seq) not in told
                told[int(seq)] = (stream, digest)

    async def check() -> None:
        ledger = kit.open_test_ledger(url)
        events = await ledger.store.read(limit=100_000)
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        there = {e.seq: (e.stream, e.payload_digest) for e in events}
        assert all(there[seq] == said for seq, said in told.items())
        assert len(told) > 500 and len(events) - len(told) < 6 * 5 * 3
        for name, version in await ledger.store.streams():
            assert len(await ledger.store.read_stream(name)) == version
        ledger.close()

    asyncio.run(check())


@pytest.mark.parametrize("kind", kit.STORES)
async def test_a_tiny_cache_of_stream_ends_gives_the_same_answers(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "HEADS_MAX", 3)
    ledger = kit.open_test_ledger(kit.url_of(kind, tmp_path))
    for turn in range(12):
        outcomes = await asyncio.gather(
            *(
                ledger.store.append(
                    [kit.event(f"s{n}", n=turn), kit.event(f"s{(n + 5) % 10}", n=turn)],
                    expect={f"s{n}": turn * 2 + (n >= 5)},
                )
                for n in range(10)
            ),
            ledger.store.append([kit.event("s0")], expect={"s0": turn * 2}),
            return_exceptions=True,
        )
        assert [isinstance(o, ConflictError) for o in outcomes] == [False] * 10 + [True]
        assert len(ledger.store._heads) <= 3
        assert len(await ledger.store.read_stream("s7")) == 2 * (turn + 1)
    assert await ledger.store.streams() == [
        (f"s{n}", 24) for pair in zip(range(5), range(5, 10), strict=True) for n in pair
    ]
    ledger.close()
