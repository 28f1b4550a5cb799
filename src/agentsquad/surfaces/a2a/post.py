"""The post: finds what became of tasks, and has notifications of it sent.

One for each namespace, in the process that drives its runs. It keeps nothing of
its own: what is to be told, what was, and when to try again are events, so it
goes on where it was after whatever happened to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.gate import Gate
from agentsquad.surfaces.a2a import push
from agentsquad.surfaces.a2a.contract import Receipt

LOOK_MS = 500
AT_ONCE = 8  # receivers that are told at the same time
PAGE = 1000
# What can change how a task stands, in its own stream or below it.
MOVES = (
    "run.started", "run.completed", "run.failed", "run.cancelled", "signal.waiting",
    "signal.received", "step.completed", "step.failed", "approval.requested", "approval.given",
    "approval.refused", "incident.opened", "question.withdrawn",
)  # fmt: skip
ENDS = ("run.completed", "run.failed", "run.cancelled")
Standing = Callable[[str, tuple[str, ...]], Awaitable[tuple[str, ...] | None]]


class Place(Protocol):
    """A namespace that is open."""

    world: Any

    async def invoke(self, action: str, value: Any, *, actor: Actor | None = None) -> Any:
        """Carry an action out."""
        ...


class Post:
    """The post of one namespace."""

    def __init__(self, place: Place, standing: Standing) -> None:
        """`standing` returns the roles that an actor who once held these still
        holds, None where they may look at nothing any more."""
        self._place = place
        self._standing = standing
        self._boxes: dict[str, push.Box] = {}
        self._after = 0
        self._moved: set[str] = set()
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    @property
    def _store(self) -> EventStore:
        store: EventStore = self._place.world.store
        return store

    async def run(self) -> None:
        """Deliver until told to end."""
        clock: Clock = self._place.world.clock
        try:
            while True:
                await self.look()
                await clock.sleep_ms(LOOK_MS)
        finally:
            await self.close()

    async def close(self) -> None:
        """Break off what is under way; it is sent again."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Take in what happened, queue what is to be told, begin to send what
        is due."""
        await self._take_in()
        for name in sorted(self._moved):
            box = self._boxes[name]
            if not box.open or await self._queue(box):
                self._moved.discard(name)
        if not self._boxes or await self._place.world.ports.get(Gate).halted():
            return
        now_ms = self._place.world.clock.now_ms()
        for name, box in self._boxes.items():
            for config in box.configs.values():
                letter = push.due(config, now_ms)
                if letter is None or (name, config.id) in self._under_way:
                    continue
                if len(self._under_way) >= AT_ONCE:
                    return
                self._begin(name, config, letter)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _take_in(self) -> None:
        size = await self._store.size()
        more = size > self._after
        while more:
            types = (*push.TYPES, *MOVES) if self._boxes else push.TYPES
            batch = await self._store.read(after=self._after, limit=PAGE, types=types)
            for event in batch:
                await self._take(event)
                self._after = event.seq
                if types is push.TYPES and self._boxes:
                    break  # what else happened since counts from here on
            more = bool(batch)
        self._after = max(self._after, size)  # what is of no concern is read once
        # What was given up is read again when somebody has it sent again.
        for name in [name for name, box in self._boxes.items() if not box.open]:
            del self._boxes[name]
            self._moved.discard(name)

    async def _take(self, event: Event) -> None:
        if event.type in push.TYPES:
            name = event.stream.removeprefix(push.PREFIX)
            if name not in self._boxes:
                found = await self._store.read_stream(event.stream)
                self._boxes[name] = push.folded(name, found)
            elif event.stream_seq > self._boxes[name].version:
                push.take(self._boxes[name], event)
            if event.type == push.CONFIGURED:
                self._moved.add(name)
            return
        run = event.stream.removeprefix("run/").partition("/")[0]
        if run in self._boxes:
            self._moved.add(run)
        elif event.type.startswith(("approval.", "incident.", "question.")):
            self._moved.update(self._boxes)

    async def _queue(self, box: push.Box) -> bool:
        """Put what became of a task into the log; whether nobody else wrote
        there meanwhile."""
        events = await self._store.read_stream(f"run/{box.task}")
        ended = bool(events) and events[-1].type in ENDS
        waiting = [] if ended else await self._place.world.ports.get(Engine).inbox(box.task)
        found = push.changes(box, events, [one.action for one in waiting])
        if not found:
            return True
        stream = push.PREFIX + box.task
        written = [NewEvent(stream=stream, type=push.QUEUED, payload=one) for one in found]
        try:
            self._fold(await self._store.append(written, expect={stream: box.version}))
        except ConflictError:
            return False
        return True

    def _fold(self, events: list[Event]) -> None:
        """Fold what was just written here, unless something came between."""
        for event in events:
            box = self._boxes.get(event.stream.removeprefix(push.PREFIX))
            if box is not None and event.stream_seq == box.version + 1:
                push.take(box, event)

    def _begin(self, name: str, config: push.Config, letter: push.Letter) -> None:
        key = (name, config.id)
        task = asyncio.ensure_future(self._send(name, config, letter))
        self._under_way[key] = task
        task.add_done_callback(lambda _: self._under_way.pop(key, None))

    async def _send(self, name: str, config: push.Config, letter: push.Letter) -> None:
        try:
            receipt = await self._sent(name, config, letter)
        except SquadError as error:
            receipt = Receipt(why=f"{error.code}: {error.message}"[:300])
        except Exception as error:  # noqa: BLE001 - tried again like everything that went wrong
            receipt = Receipt(why=type(error).__name__)
        now_ms = self._place.world.clock.now_ms()
        told = push.outcome(config, letter, receipt, now_ms)
        self._fold(await self._store.append([NewEvent(stream=push.PREFIX + name, **told)]))

    async def _sent(self, name: str, config: push.Config, letter: push.Letter) -> Receipt:
        roles = await self._standing(config.by, config.roles)
        if roles is None:
            return Receipt(status=403, why=f"{config.by} may not look at it any more")
        value = {"task": name, "config": config.id, "n": letter.queued.n}
        actor = Actor.parse(config.by, roles)
        found: Receipt = await self._place.invoke("a2a.push_send", value, actor=actor)
        return found
