"""Two processes on one ledger: no gaps, nothing lost, both see everything."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentsquad.kernel.errors import ConflictError
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.verification import verify


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "conformance" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


kit = load("ledger_kit")


@pytest.fixture(params=kit.KEPT)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


WRITER = """
import asyncio, json, sys
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.engine.adapters.system import SystemClock, SystemEntropy
from agentsquad.runtime.ledger.plugin import open_ledger

async def main(url, name, count):
    ledger = open_ledger(url, SystemClock(), SystemEntropy())
    store, seqs, conflicts = ledger.store, [], 0
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        own = await store.append(
            [NewEvent(stream=f"own:{name}", type="a.b", payload={"n": number})] * (1 + number % 2),
            expect={f"own:{name}": len(seqs)},
        )
        seqs += [e.seq for e in own]
        shared = await store.read_stream("shared")
        try:
            await store.append(
                [NewEvent(stream="shared", type="a.c", payload={"by": name, "n": number})],
                expect={"shared": len(shared)},
            )
        except ConflictError:
            conflicts += 1
    head = await store.head()
    print(json.dumps({"seqs": seqs, "conflicts": conflicts, "size": head.size}))
    ledger.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.slow
def test_two_processes_append_at_once_without_gaps(kind: str, tmp_path: Path) -> None:
    url, count = kit.url_of(kind, tmp_path), 60
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    answers = [json.loads(writer.communicate("go\n", timeout=60)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]

    async def check() -> None:
        ledger = kit.open_test_ledger(url)
        events = await ledger.store.read(limit=10_000)
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        for name, answer in zip("ab", answers, strict=True):
            own = await ledger.store.read_stream(f"own:{name}")
            assert [e.seq for e in own] == answer["seqs"]
            assert len(own) == count + count // 2
        shared = await ledger.store.read_stream("shared")
        assert len(shared) == 2 * count - sum(a["conflicts"] for a in answers)
        assert len(events) == 3 * count + len(shared)
        ledger.close()

    asyncio.run(check())


async def test_a_second_opener_sees_and_continues_what_the_first_wrote(
    kind: str, tmp_path: Path
) -> None:
    url = kit.url_of(kind, tmp_path)
    first, second = kit.open_test_ledger(url, "one"), kit.open_test_ledger(url, "two")
    for number in range(300):
        writer, reader = (first, second) if number % 2 else (second, first)
        await writer.store.append([kit.event("shared", n=number)], expect={"shared": number})
        with pytest.raises(ConflictError):
            await reader.store.append([kit.event("shared")], expect={"shared": number})
        assert (await reader.store.read_stream("shared", after=number))[0].payload["n"] == number
    assert await first.store.head() == await second.store.head()
    assert await first.store.read_stream("shared") == await second.store.read_stream("shared")
    ats = [e.at for e in await first.store.read()]
    assert ats == sorted(set(ats)), "readings of the clock rise over both"
    first.close()
    second.close()


async def test_waiting_notices_what_another_opener_appended(kind: str, tmp_path: Path) -> None:
    url = kit.url_of(kind, tmp_path)
    first, second = kit.open_test_ledger(url, "one"), kit.open_test_ledger(url, "two")
    waiting = asyncio.create_task(first.store.wait(0, timeout_ms=100_000))
    await asyncio.sleep(0)
    await second.store.append([kit.event()])
    assert await waiting == 1
    first.close()
    second.close()


async def with_append_inside(
    monkeypatch: pytest.MonkeyPatch, first: Ledger, step: str, after: bool, act: Any
) -> Any:
    """Run `act` while `first` appends before or after a step of another's
    volume.
    """
    volume = type(first.store.volume)
    original = getattr(volume, step)
    waiting: list[Any] = []

    def append_now(self: Any) -> None:
        if self is not first.store.volume and not waiting:
            waiting.append(first.store.append([kit.event("shared", n=2)]))
            waiting[0].send(None)  # up to its wait for the commit
            first.store._flush()

    def step_and_append(self: Any, *args: Any) -> Any:
        if not after:
            append_now(self)
        found = original(self, *args)
        append_now(self)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(volume, step, step_and_append)
        found = await act()
    assert len(waiting) == 1
    waiting[0].close()
    return found


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["witness", "head", "scan"])
async def test_an_append_by_another_while_opening_is_not_taken_for_a_loss(
    kind: str, step: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = kit.url_of(kind, tmp_path)
    first = kit.open_test_ledger(url, "one")
    await first.store.append([kit.event("shared", n=1)])

    async def act() -> Ledger:
        return kit.open_test_ledger(url, "two")

    second = await with_append_inside(monkeypatch, first, step, after, act)
    assert await second.store.size() == await first.store.size() == 2
    second.close()
    first.close()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["head", "stream", "seqs", "rows", "typed", "scan", "types"])
async def test_an_append_by_another_while_reading_is_not_taken_for_damage(
    kind: str, step: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = kit.url_of(kind, tmp_path)
    first, second = kit.open_test_ledger(url, "one"), kit.open_test_ledger(url, "two")
    await first.store.append([kit.event("shared", n=1)])

    async def act() -> tuple[list[int], ...]:
        """Whatever is seen is a beginning of the log, and sound."""
        store = second.store
        found = (
            [e.payload["n"] for e in await store.read_stream("shared")],
            [e.payload["n"] for e in await store.read(types=["step.completed"])],
            [e.payload["n"] for e in await store.read()],
        )
        verified = await verify(second, lambda done, total: None)
        assert verified.valid, verified.findings
        return found

    for seen in await with_append_inside(monkeypatch, first, step, after, act):
        assert seen in ([1], [1, 2])
    assert await second.store.read() == await first.store.read()
    second.close()
    first.close()


@pytest.mark.slow
def test_many_processes_may_create_one_ledger_at_once(kind: str, tmp_path: Path) -> None:
    url = kit.url_of(kind, tmp_path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(number), "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for number in range(4)
    ]
    for writer in writers:
        writer.communicate(b"go\n", timeout=60)
    assert [writer.returncode for writer in writers] == [0] * 4


async def test_a_stream_that_another_has_made_is_not_made_a_second_time(
    kind: str, tmp_path: Path
) -> None:
    """Nor does a store that is not asked beforehand believe that it is new."""
    url = kit.url_of(kind, tmp_path)
    first, second = kit.open_test_ledger(url, "one"), kit.open_test_ledger(url, "two")
    for number in range(3):
        name = f"run/{number}"
        await first.store.append([kit.event(name, by="first")], expect={name: 0})
        said = await asyncio.gather(
            second.store.append([kit.event(f"other/{number}")], expect={f"other/{number}": 0}),
            second.store.append([kit.event(name, by="second")], expect={name: 0}),
            second.store.append([kit.event("all")]),
            return_exceptions=True,
        )
        assert [isinstance(one, ConflictError) for one in said] == [False, True, False]
        assert [e.payload["by"] for e in await second.store.read_stream(name)] == ["first"]
    assert (await verify(first, lambda done, total: None)).valid
    first.close()
    second.close()
