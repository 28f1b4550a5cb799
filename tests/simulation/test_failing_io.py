"""Every single write and sync of a whole flow fails once, and from then on: no
effect is repeated, no acknowledged event is lost, and once the disk is well the
run comes to the same end.

Engine, door and log on real files. SQLite's writes and syncs fail below its
checksums (`faulty_disk`); what lies beside the databases (witness, reserve,
blobs) fails in the ledger's own port for files.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import SquadError, UnavailableError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import AllowAll, ManualClock, SeededEntropy
from agentsquad.testing.clock import settle


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "conformance" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


disk = load("faulty_disk")


class N(msgspec.Struct):
    n: int


class Bank:
    """The other side: what reached it, by key."""

    def __init__(self) -> None:
        self.received: list[tuple[str, int]] = []


BANK = Bank()


@action("files.keep", effect=Effect.READ)
async def keep(ctx, value: N) -> dict:
    """Keep something large beside the log."""
    return await ctx.port(BlobStore).put(b"x" * 5000 * value.n)


@action("bank.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.lookup")
async def pay(ctx, value: N) -> N:
    """Pay."""
    BANK.received.append((ctx.idempotency_key, value.n))
    return value


@action("bank.lookup", effect=Effect.READ)
def lookup(ctx, value: Reconcile) -> Reconciled:
    """Look for a key."""
    found = [n for key, n in BANK.received if key == value.key]
    return Reconciled(found=bool(found), output={"n": found[0]} if found else None)


@workflow("order")
async def order(ctx, value: N) -> list:
    kept = await ctx.call("files.keep", value)
    first = await ctx.call("bank.pay", N(1))
    await ctx.sleep(5000)
    answer = await ctx.approve("bank.pay", N(2), roles=["boss"], because="x", requester="agent:z")
    second = await ctx.call("bank.pay", N(2), approval=answer)
    return [kept["size"], first.n, second.n]


REGISTRY = Registry.of(Plugin(name="io", actions=(keep, pay, lookup), workflows=(order,)))
RUN = keyed_id("order", "the-order")
STEPS = 6  # what is done to a run from outside before it must have ended


class Acknowledging:
    """A store that remembers what it acknowledged."""

    def __init__(self, inner: Any, told: list[Event]) -> None:
        self._inner = inner
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        stored: list[Event] = await self._inner.append(events, expect=expect)
        self._told += stored
        return stored


class Life:
    """One opening of the store and what is done with it."""

    def __init__(self, folder: Path, told: list[Event], files: Any) -> None:
        self.clock = ManualClock()
        entropy = SeededEntropy()
        self.ledger = open_ledger(f"sqlite:///{folder}/log.db", self.clock, entropy, files)
        ports = Ports(
            {
                EventStore: Acknowledging(self.ledger.store, told),
                BlobStore: self.ledger.blobs,
                PolicyEngine: AllowAll(),
                Clock: self.clock,
                Entropy: entropy,
            }
        )
        self.engine = EmbeddedEngine(World(REGISTRY, ports))

    async def live(self) -> Any:
        """Take the run as far as it goes; raises what stops it."""
        await self.engine.recover()
        await self.engine.start("order", N(1), key="the-order")
        for _ in range(STEPS):
            outcome = await self._rests()
            if outcome.status not in ("waiting", "running"):
                return outcome
            for item in await self.engine.inbox():
                await self.engine.answer(
                    item.id, approve=True, approver="person:ada", reason="fine"
                )
            await self._rests()
            await self.clock.advance(6000)
        raise AssertionError(f"the run did not end: {outcome}")

    async def _rests(self) -> Any:
        """Return how the run stands once nothing is under way; a blob is
        written by a thread, which has to be waited for."""
        while True:
            await settle()
            if RUN in self.engine.stuck:
                raise self.engine.stuck[RUN]
            outcome = await self.engine.outcome(RUN)
            if outcome.status != "running":
                return outcome
            await asyncio.sleep(0.0005)

    async def close(self) -> None:
        await self.engine.close()
        self.ledger.close()


async def attempt(folder: Path, told: list[Event], files: Any = SYSTEM) -> Any:
    life = Life(folder, told, files)
    try:
        return await life.live()
    finally:
        await life.close()


async def check(folder: Path, told: list[Event], outcome: Any) -> None:
    """What was acknowledged is there, each key arrived once, it replays."""
    assert (outcome.status, outcome.output) == ("completed", [5000, 1, 2])
    assert sorted(n for _, n in BANK.received) == [1, 2]
    assert len({key for key, _ in BANK.received}) == len(BANK.received)
    life = Life(folder, [], SYSTEM)
    try:
        events = await life.ledger.store.read(limit=1000)
        by_seq = {event.seq: event for event in events}
        for event in told:
            assert by_seq[event.seq] == event
        found = await replay(life.ledger.store, REGISTRY, RUN)
        assert found.verdict == "identical", found
    finally:
        await life.close()


async def broken_then_well(folder: Path, breaking: Callable[[], Any], files: Any = SYSTEM) -> str:
    """Try while the disk fails, then with a disk that is well; return how the
    first try ended."""
    BANK.__init__()
    told: list[Event] = []
    outcome = None
    with breaking():
        try:
            outcome = await attempt(folder, told, files)
            first = "completed"
        except SquadError as error:
            assert isinstance(error, UnavailableError), f"{error.code}: {error}"
            first = error.code
    if outcome is None:
        outcome = await attempt(folder, told)
    await check(folder, told, outcome)
    return first


async def counted(tmp_path: Path) -> dict[str, int]:
    BANK.__init__()
    folder = tmp_path / "dry"
    folder.mkdir()
    with disk.failing(None) as plan:
        await attempt(folder, [])
    return dict(plan.counts)


CASES = [
    (kind, lasting)
    for kind in (disk.WRITE, disk.TORN, disk.SYNC, disk.FULL)
    for lasting in (False, True)
    if not (kind == disk.TORN and lasting)  # all that follows a torn write is lost anyway
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "lasting"), CASES, ids=[f"{k}-{'lasting' if v else 'once'}" for k, v in CASES]
)
async def test_whichever_write_or_sync_fails_the_flow_recovers(
    kind: str, lasting: bool, tmp_path: Path
):
    counts = await counted(tmp_path)
    total = counts["sync" if kind == disk.SYNC else "write"]
    ways: Counter[str] = Counter()
    for at in range(1, total + 1):
        (tmp_path / f"{at}").mkdir()

        def breaking(at: int = at) -> Any:
            return disk.failing(kind, at, lasting=lasting)

        try:
            ways[await broken_then_well(tmp_path / f"{at}", breaking)] += 1
        except Exception as error:
            raise AssertionError(f"{kind} {at} of {total} ({lasting=}): {error!r}") from error
    assert sum(ways.values()) == total > 20
    assert ways.total() > ways["completed"], f"no failure was noticed: {ways}"


class FailingFiles:
    """The machine's files; the n-th operation that changes one fails, and if it
    lasts all after it."""

    CHANGING = ("open", "write_new", "replace", "remove", "make_folder", "sync_folder")

    def __init__(self, at: int = 0, *, lasting: bool = False) -> None:
        self.at = at
        self.lasting = lasting
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(SYSTEM, name)
        if name not in self.CHANGING:
            return found

        def done(*given: Any, **more: Any) -> Any:
            self.meets(name)
            made = found(*given, **more)
            return FailingFile(self, made) if name == "open" else made

        return done

    def meets(self, name: str) -> None:
        self.count += 1
        if self.at and (self.count == self.at or (self.lasting and self.count > self.at)):
            raise OSError(5, f"{name} failed")

    def well(self) -> Any:
        import contextlib

        return contextlib.nullcontext()


class FailingFile:
    """An open file whose writes and syncs count too."""

    def __init__(self, files: FailingFiles, inner: Any) -> None:
        self._files = files
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes, offset: int) -> None:
        self._files.meets("write")
        self._inner.write(data, offset)

    def sync(self) -> None:
        self._files.meets("sync")
        self._inner.sync()


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
async def test_whatever_fails_beside_the_databases_the_flow_recovers(lasting: bool, tmp_path: Path):
    BANK.__init__()
    dry = FailingFiles()
    (tmp_path / "dry").mkdir()
    await attempt(tmp_path / "dry", [], dry)
    assert dry.count > 10
    for at in range(1, dry.count + 1):
        files = FailingFiles(at, lasting=lasting)
        (tmp_path / f"{at}").mkdir()
        try:
            await broken_then_well(tmp_path / f"{at}", files.well, files)
        except Exception as error:
            raise AssertionError(f"operation {at} of {dry.count}: {error!r}") from error
        assert files.count >= at, "the operation that was to fail never came"
