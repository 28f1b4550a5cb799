"""Crashes at chosen appends: a world that dies with the log as it stands, and
comes back.

`CrashStore` lets the n-th append of an engine's life happen (or not) and then
answers nobody any more, as a killed process would. `CrashSquad` throws the
engine away and starts another one over the same log. `play` is the world
around it: people who answer, senders who repeat what they are not sure
arrived, and time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from agentsquad.kernel.errors import ConflictError, MissingError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import Engine, InboxItem
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.intervening import Wish
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.engine.state import END_EVENTS, RESOLVING
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

T = TypeVar("T")
KEY = "the-run"


class Fuse(msgspec.Struct, frozen=True):
    """Crash at the n-th append of an engine's life, before or after it is
    durable."""

    append: int
    durable: bool


class CrashStore:
    """An EventStore that stops answering when its fuse burns.

    `at` says what else happens right after the n-th append, before the engine
    hears of it.
    """

    def __init__(self, inner: EventStore, fuse: Fuse | None, crashed: asyncio.Event) -> None:
        self._inner = inner
        self._fuse = fuse
        self._crashed = crashed
        self.appends = 0
        self.at: dict[int, Callable[[], None]] = {}

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        await self._alive()
        self.appends += 1
        if self._fuse is None or self.appends != self._fuse.append:
            number = self.appends
            stored = await self._inner.append(events, expect=expect)
            if number in self.at:
                self.at[number]()
            await self._alive()
            return stored
        if self._fuse.durable:
            self._crashed.set()
            await self._inner.append(events, expect=expect)
        self._crashed.set()
        return await self._never()

    async def read_stream(self, stream: str, **options: Any) -> list[Event]:
        await self._alive()
        return await self._inner.read_stream(stream, **options)

    async def read(self, **options: Any) -> list[Event]:
        await self._alive()
        return await self._inner.read(**options)

    async def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        await self._alive()
        return await self._inner.streams(prefix)

    async def size(self) -> int:
        await self._alive()
        return await self._inner.size()

    async def _alive(self) -> None:
        if self._crashed.is_set():
            await self._never()

    @staticmethod
    async def _never() -> Any:
        await asyncio.get_running_loop().create_future()


class DyingLog(EventLog):
    """A log that dies at the n-th commit of an engine's life, before or after
    it; what was placed and not committed is gone, and nobody is answered."""

    def __init__(self, ledger: Ledger, squad: CrashSquad, fuse: Fuse | None) -> None:
        super().__init__(ledger.store.volume, squad.clock, squad.entropy, ledger.keyring)
        self._fuse = fuse
        self._crashed = squad.crashed
        self._squad = squad
        self.appends = 0

    def _intrude(self) -> None:
        """Write as another process would, in between: somewhere else, and to
        every run that is being written to and has not ended."""
        other = self._squad.ledger.store
        names = [name for name in (self._placing.touched if self._placing else ()) if "/" in name]
        told = [NewEvent(stream="elsewhere", type="noise.made", payload={})]
        for name in names:
            head = self._volume.stream(name)
            if name.startswith("run/") and head is not None:
                last = other.volume.rows([head.last])[0].type
                if last not in END_EVENTS:
                    body = {"name": "noise", "payload": None}
                    told.append(NewEvent(stream=name, type="signal.received", payload=body))
        writing = other.append(told)
        writing.send(None)  # up to its wait for the commit
        other._flush()
        writing.close()

    def place(self, events: Sequence[NewEvent], **options: Any) -> list[Event]:
        if self._crashed.is_set():
            raise asyncio.CancelledError
        return super().place(events, **options)

    def _flush(self) -> None:
        wanted = [append for append in self._pending if append.wanted]
        if self._crashed.is_set():
            return
        self.appends += bool(wanted)
        if wanted and self.appends in self._squad.intrusions:
            self._squad.intrusions.remove(self.appends)
            self._intrude()
        if not wanted or self._fuse is None or self.appends != self._fuse.append:
            super()._flush()
            return
        self._crashed.set()
        if self._fuse.durable:
            self._commit(wanted, self._placing if wanted == self._pending else None)

    async def append(self, events: Sequence[NewEvent], **options: Any) -> list[Event]:
        await self._alive()
        return await super().append(events, **options)

    async def read_stream(self, stream: str, **options: Any) -> list[Event]:
        await self._alive()
        return await super().read_stream(stream, **options)

    async def read(self, **options: Any) -> list[Event]:
        await self._alive()
        return await super().read(**options)

    async def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        await self._alive()
        return await super().streams(prefix)

    async def size(self) -> int:
        await self._alive()
        return await super().size()

    async def _alive(self) -> None:
        if self._crashed.is_set():
            await asyncio.get_running_loop().create_future()


class CrashSquad(TestSquad):
    """A squad whose engines die by their fuses, one fuse an engine.

    A fuse counts appends, each of which is answered when it is durable, or with
    `commits` the commits of a log that gives events their place before;
    `intrusions` are commits before which another process writes.
    """

    __test__ = False

    def __init__(
        self,
        *plugins: Plugin,
        fuses: Sequence[Fuse] = (),
        policy: PolicyEngine | None = None,
        ports: Mapping[Any, Any] | None = None,
        commits: bool = False,
        intrusions: Sequence[int] = (),
    ) -> None:
        self.commits = commits
        self.intrusions = list(intrusions)
        self.fuses = list(fuses)
        self.crashes = 0
        self.extra = dict(ports or {})
        super().__init__(*plugins, policy=policy)

    def _engine(self) -> EmbeddedEngine:
        self.crashed = asyncio.Event()
        fuse = self.fuses.pop(0) if self.fuses else None
        self.fused: Any = (
            DyingLog(self.ledger, self, fuse)
            if self.commits
            else CrashStore(self.ledger.store, fuse, self.crashed)
        )
        ports = Ports(
            {
                EventStore: self.fused,
                BlobStore: self.ledger.blobs,
                PolicyEngine: self.policy,
                Clock: self.clock,
                Entropy: self.entropy,
                Ledger: self.ledger,
                **self.extra,
            }
        )
        engine = EmbeddedEngine(World(self.registry, ports))
        ports.put(Engine, engine)
        return engine

    async def survive(self, doing: Awaitable[T]) -> T | None:
        """Do something with the engine; None if the engine died of it and was
        replaced."""
        task = asyncio.ensure_future(doing)
        death = asyncio.ensure_future(self.crashed.wait())
        await asyncio.wait((task, death), return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if not self.crashed.is_set():
            return await task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.rise()
        return None

    async def rise(self) -> None:
        """Replace a dead engine, again if the next one dies while it
        recovers."""
        while True:
            self.crashes += 1
            await self.engine.close()
            self.engine = self._engine()
            recovering = asyncio.ensure_future(self.engine.recover())
            death = asyncio.ensure_future(self.crashed.wait())
            await asyncio.wait((recovering, death), return_when=asyncio.FIRST_COMPLETED)
            death.cancel()
            if not self.crashed.is_set():
                await recovering
                return
            recovering.cancel()
            await asyncio.gather(recovering, return_exceptions=True)


class Story(msgspec.Struct, kw_only=True):
    """What a play came to: the part that no crash may change, and what is told
    beside it."""

    status: str
    output: Any
    error: Any
    resolved: dict[str, dict[str, str]]
    confirmed: list[str]
    verdict: str
    appends: int
    crashes: int


async def play(
    s: CrashSquad,
    flow: str,
    value: Any,
    *,
    twice: bool = False,
    approve: bool = True,
    step_ms: int = 30_000,
) -> Story:
    """Start a run and be its world until it has ended; `twice` repeats every
    delivery."""
    run = None
    while run is None:
        run = await s.survive(s.engine.start(flow, value, key=KEY))
    store = s.ledger.store
    for _ in range(500):
        await settle(30)
        if s.crashed.is_set():
            await s.rise()
            continue
        if run in s.engine.stuck:
            raise s.engine.stuck[run]
        if (await store.read_stream(f"run/{run}"))[-1].type in END_EVENTS:
            await settle(30)
            if s.crashed.is_set():
                await s.rise()
            break
        if await _deliver(s, twice=twice, approve=approve):
            continue
        await s.survive(s.clock.advance(step_ms))
    else:
        raise AssertionError(f"{flow} did not end: {await s.events(run)}")
    return await tell(s, run)


async def _deliver(s: CrashSquad, *, twice: bool, approve: bool) -> bool:
    questions = await s.survive(s.engine.inbox()) or []
    if await _by_hand(s, questions, twice=twice):
        return True
    for question in questions:
        if question.kind != "approval" or question.level < rises(question):
            continue
        for _ in range(1 + twice):
            # Answered before, or the run has gone on without the answer.
            with contextlib.suppress(ConflictError, MissingError):
                await s.survive(
                    s.engine.answer(
                        question.id, approve=approve, approver="person:ada", reason="seen"
                    )
                )
        return True
    if await _poke(s, twice=twice):
        return True
    for run, name in await waiting_signals(s.ledger.store):
        for _ in range(1 + twice):
            with contextlib.suppress(ConflictError):  # the run has ended meanwhile
                await s.survive(s.engine.signal(run, name, f"{name}!", actor="person:ada"))
        return True
    return False


def rises(question: InboxItem) -> int:
    """Return up to which level nobody answers a question."""
    return int(question.because.removeprefix("rise ")) if "rise " in question.because else 0


async def _by_hand(s: CrashSquad, items: Sequence[InboxItem], *, twice: bool) -> bool:
    """Have steps that stand still tried again with a one, by two people."""
    asked = {(item.run, item.input["position"]) for item in items if item.kind == "intervention"}
    for item in items:
        if (item.run, item.position) in asked:
            continue
        for _ in range(1 + twice):
            with contextlib.suppress(ConflictError, MissingError):  # done a moment before
                if item.kind == "intervention":
                    said = {"approver": "person:bob", "reason": "seen"}
                    await s.survive(s.engine.answer(item.id, approve=True, **said))
                elif item.kind == "incident":
                    one = {"input": {"n": 1}}
                    place = {"run": item.run, "position": item.position}
                    wish = Wish(means="patch", reason="a slip", given=one, **place)
                    await s.survive(s.engine.intervene(wish, actor="person:ada"))
        if item.kind in ("intervention", "incident"):
            return True
    return False


async def _poke(s: CrashSquad, *, twice: bool) -> bool:
    """Update runs that wait for it, with a key, until it is taken."""
    for stream, _ in await s.ledger.store.streams("run/"):
        events = await s.ledger.store.read_stream(stream)
        kinds = {event.type for event in events}
        began = events[0].payload
        wants = "poked" in str(began["input"]) and began["workflow"] in ("program", "desk")
        if not wants or "update.accepted" in kinds or events[-1].type in END_EVENTS:
            continue
        taken = False
        for _ in range(1 + twice):
            with contextlib.suppress(ConflictError, MissingError):
                taking = {"actor": "person:ada", "key": "poke", "timeout_ms": 0}
                await s.survive(s.engine.update(stream.removeprefix("run/"), "poke", 7, **taking))
                taken = True
        if taken:
            return True
    return False


async def waiting_signals(store: EventStore) -> list[tuple[str, str]]:
    """Return (run, signal) of every wait that has no signal yet."""
    found: list[tuple[str, str]] = []
    for stream, _ in await store.streams("run/"):
        events = await store.read_stream(stream)
        if events[-1].type in END_EVENTS:
            continue
        names: dict[str, int] = {}
        for event in events:
            if event.type in ("signal.waiting", "signal.received"):
                name = event.payload["name"]
                names[name] = names.get(name, 0) + (1 if event.type == "signal.waiting" else -1)
        found += [(stream.removeprefix("run/"), name) for name, count in names.items() if count > 0]
    return [(run, name) for run, name in found if not name.startswith("never")]


async def tell(s: CrashSquad, run: str) -> Story:
    """Read the log as it stands."""
    store = s.ledger.store
    resolved: dict[str, dict[str, str]] = {}
    confirmed = []
    for stream, _ in await store.streams(f"run/{run}"):
        steps = resolved.setdefault(stream.removeprefix("run/"), {})
        for event in await store.read_stream(stream):
            if event.type in RESOLVING:
                steps.setdefault(event.payload["position"], event.type)
            if event.type == "effect.confirmed":
                confirmed.append(event.payload.get("key") or _key_of(steps, event))
    last = (await store.read_stream(f"run/{run}"))[-1]
    found = await replay(store, s.registry, run)
    return Story(
        status=END_EVENTS[last.type],
        output=last.payload.get("output"),
        error=last.payload.get("error"),
        resolved=resolved,
        confirmed=confirmed,
        verdict=found.verdict if found.verdict == "identical" else f"{found.verdict}: {found}",
        appends=s.fused.appends,
        crashes=s.crashes,
    )


def _key_of(steps: dict[str, str], event: Event) -> str:
    return f"{event.stream}:{event.payload['position']}"
