"""Shared: an engine of a store that several processes serve, for availability
and for rolling deploys.

One process at a time drives the runs; it holds the lease, and each of its
writes is refused once another has taken over (`ledger.tenure`). All others may
start, signal, answer and read at any time: what they write is heard by the one
that drives. A process that joined stands by, and takes over when the lease was
given back or has run out.

Laws: losing the lease ends everything this process has under way before it
writes anything else; whoever waits for a run here goes on waiting through the
log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeadlineError, SquadError, UnavailableError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ids import new_id
from agentsquad.runtime.engine.contract import EngineBusyError, InboxItem, Outcome
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.flow import plain
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.engine.inbound.contract import UpdateAnswer
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.engine.state import ENDED
from agentsquad.runtime.ledger.contract import ClosedError, FencedError
from agentsquad.runtime.ledger.tenure import Tenure

TTL_MS = 6_000  # how long a process that says nothing still drives
STREAM = "engine/lease"
LOST, TOOK, YIELDED = "engine.fenced", "engine.acquired", "engine.yielded"
DRAIN_LOOK_MS = 20
FOLLOW_MS = 10
AWAY_MS = 1_000  # after which a server that is away is asked again

_log = logging.getLogger("agentsquad.engine")
T = TypeVar("T")
Say = Callable[[str], None]


class TenureLease:
    """The lease of an engine whose store keeps it."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure

    @property
    def held(self) -> bool:
        """Whether this process drives the store's runs."""
        return self._tenure.held is not None

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken over yet."""
        return self._tenure.certain

    def acquire(self) -> None:
        """Raise EngineBusyError unless this process holds it: taking over is
        not the inner engine's business."""
        if not self.held:
            raise EngineBusyError("another process is running the runs of this store")

    def release(self) -> None:
        """Nothing: whoever joined gives it back."""

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` when another process told this one something."""
        return self._tenure.listen(lambda kind: heard() if kind == "told" else None)


class SharedEngine:
    """Drives the runs of a shared store while this process holds its lease;
    everything else it does at any time."""

    def __init__(
        self,
        world: World,
        tenure: Tenure,
        make: Callable[[], EmbeddedEngine],
        *,
        ttl_ms: int = TTL_MS,
    ) -> None:
        self.world = world
        self.say: Say = lambda text: None
        self.steps_down = 0
        self._tenure = tenure
        self._make = make
        self._ttl_ms = ttl_ms
        self._inner = make()
        self._keeper: asyncio.Task[None] | None = None
        self._falling: asyncio.Task[None] | None = None
        self._nudge: asyncio.Event | None = None
        self._deaf: Callable[[], None] | None = None
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        """What only an engine in this process has: its runs in memory."""
        return getattr(self._inner, name)

    @property
    def driving(self) -> bool:
        """Whether this process drives the runs now."""
        return self._tenure.held is not None and self._falling is None

    # --- the lease

    async def join(self) -> bool:
        """Drive the runs if nobody does, else stand by; say which."""
        if self._keeper is None:
            self._nudge = asyncio.Event()
            self._deaf = self._tenure.listen(self._heard)
            self._tenure.warn(self._alarmed)
            await self._try_lead()
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        return self.driving

    def _heard(self, kind: str) -> None:
        if kind == "lease" and self._nudge is not None:
            self._nudge.set()

    def _alarmed(self) -> None:
        if self._falling is None and not self._closed:
            self._falling = asyncio.get_running_loop().create_task(self._fall())

    async def _try_lead(self) -> None:
        """Take over if nobody holds the lease."""
        if self._tenure.held is None:
            self._tenure.take(self._ttl_ms)
            if self.driving:
                await self._lead()

    async def _lead(self) -> None:
        token = self._tenure.held
        self.say(f"driving the runs of this store (token {token})")
        try:
            await self._note(TOOK, {"token": token})
            await self._inner.recover(wait=False)
        except FencedError:
            await self.step_down()

    async def _keep(self) -> None:
        """Hold on to the lease, or wait for it."""
        assert self._nudge is not None
        away = False
        while True:
            self._nudge.clear()  # before looking: what is told meanwhile counts
            pause = self._ttl_ms / 3
            try:
                if self._tenure.held is None:
                    pause = await self._stand_by()
                elif self._falling is None and not self._tenure.renew(self._ttl_ms):
                    await self.step_down()
                elif away or self._stalled():
                    await self._inner.recover(wait=False)
                away = False
            except ClosedError:
                return
            except UnavailableError:
                away = True
                pause = min(pause, AWAY_MS)
            nap = asyncio.ensure_future(self.world.clock.sleep_ms(pause))
            heard = asyncio.ensure_future(self._nudge.wait())
            try:
                await asyncio.wait((nap, heard), return_when=asyncio.FIRST_COMPLETED)
            finally:
                nap.cancel()
                heard.cancel()

    def _stalled(self) -> bool:
        """Whether runs stand still because the server was away."""
        stuck = self._inner.stuck.values()
        return any(isinstance(error, UnavailableError) for error in stuck)

    async def _stand_by(self) -> float:
        """Take over if nobody drives; return when to look again."""
        standing = self._tenure.standing(2 * self._ttl_ms)
        if standing.left_ms == 0:
            await self._try_lead()
        else:  # so that little is left to read when it takes over
            await self._inner.waiting.keep_up()
        return float(min(self._ttl_ms, standing.left_ms + 1))

    async def step_down(self) -> None:
        """End everything that is under way here: another process has taken
        over."""
        if self._falling is None and self._tenure.held is not None:
            self._falling = asyncio.get_running_loop().create_task(self._fall())
        if self._falling is not None:
            await asyncio.shield(self._falling)

    async def _fall(self) -> None:
        held = self._tenure.held
        self.steps_down += 1
        text = f"another process drives the runs now (this one had token {held}): standing by"
        self.say(text)
        _log.warning(text)
        inner = self._inner
        waiters = [future for found in inner.router.waiters.values() for future in found]
        await inner.close()  # while the old token still guards what it writes
        self._inner = self._make()
        self._tenure.forget()
        self._falling = None
        for future in waiters:
            if not future.done():
                future.set_exception(FencedError())
        with contextlib.suppress(SquadError):
            await self._note(LOST, {"token": held})

    async def _note(self, kind: str, body: dict[str, Any]) -> None:
        told = NewEvent(stream=STREAM, type=kind, payload=body, actor="service:engine")
        await self.world.store.append([told])

    async def drain(self, patience_ms: int) -> None:
        """Wait until nothing that changes the world is under way here."""
        clock = self.world.clock
        until = clock.monotonic_ms() + patience_ms
        while clock.monotonic_ms() < until and any(
            drive.outward for drive in self._inner.drives.values()
        ):
            await clock.sleep_ms(DRAIN_LOOK_MS)

    async def close(self) -> None:
        """Hand over: end what is under way, give the lease back, and say so."""
        if self._closed:
            return
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._deaf is not None:
            self._deaf()
        if self._falling is not None:
            await asyncio.gather(self._falling, return_exceptions=True)
        held = self._tenure.held
        await self._inner.close()
        if held is not None:
            with contextlib.suppress(SquadError):
                await self._note(YIELDED, {"token": held})
        if self._keeper is not None:
            self._tenure.release()

    # --- what an engine does

    async def _either(self, ask: Callable[[EmbeddedEngine], Awaitable[T]]) -> T:
        """Ask the engine; once more, if it drove and has just lost the
        lease."""
        try:
            return await ask(self._inner)
        except FencedError:
            await self.step_down()
            return await ask(self._inner)

    async def recover(self, *, wait: bool = True) -> list[str]:
        """Drive every open run if nobody else does, else stand by."""
        await self.join()
        if not self.driving:
            return []
        return await self._either(lambda inner: inner.recover(wait=wait))

    async def own(self) -> None:
        """Join; another process may drive."""
        await self.join()

    async def start(
        self, workflow: str, value: Any, *, key: str | None = None, actor: str | None = None
    ) -> str:
        """Start a run and return its id; the process that drives hears of
        it."""
        if self.driving:
            try:
                return await self._inner.start(workflow, value, key=key, actor=actor)
            except FencedError:
                await self.step_down()
        world = self.world
        run = new_id(world.clock, world.entropy) if key is None else keyed_id(workflow, key)
        await self._inner.versions.refresh()
        await self._inner.router.submit(run, workflow, plain(value), actor=actor or "service:squad")
        return run

    async def wait(self, run_id: str, *, timeout_ms: int | None = None) -> Outcome:
        """Return when the run has ended, whoever drives it; DeadlineError when
        it takes too long."""
        clock = self.world.clock
        until = None if timeout_ms is None else clock.monotonic_ms() + timeout_ms
        while True:
            left = None if until is None else max(0, int(until - clock.monotonic_ms()))
            if not self.driving:
                return await self._follow(run_id, left)
            try:
                return await self._inner.wait(run_id, timeout_ms=left)
            except FencedError:
                await self.step_down()

    async def _follow(self, run: str, timeout_ms: int | None) -> Outcome:
        """Wait for the end of a run that another process drives."""
        store: Any = self.world.store
        clock = self.world.clock
        until = None if timeout_ms is None else clock.monotonic_ms() + timeout_ms
        known = -1
        while True:
            size = await store.size()
            [(version, _)] = store.ends([f"run/{run}"])
            if version != known:
                known = version
                outcome = await self._inner.outcome(run)
                if outcome.status in ENDED:
                    return outcome
            left = None if until is None else until - clock.monotonic_ms()
            if left is not None and left <= 0:
                raise DeadlineError(f"run {run} has not ended yet", code="run.waiting")
            await store.wait(size, timeout_ms=left)
            await clock.sleep_ms(FOLLOW_MS)  # much may be written in between

    async def outcome(self, run_id: str) -> Outcome:
        """Return how a run stands now."""
        return await self._inner.outcome(run_id)

    async def signal(
        self, run_id: str, name: str, payload: Any, *, actor: str, key: str | None = None
    ) -> bool:
        """Send a signal to a run; False when one with this key came before."""
        return await self._either(
            lambda inner: inner.signal(run_id, name, payload, actor=actor, key=key)
        )

    async def query(self, run_id: str, name: str, value: Any = None) -> Any:
        """Return what a run answers; nothing of it is written."""
        return await self._inner.query(run_id, name, value)

    async def update(
        self,
        run_id: str,
        name: str,
        value: Any = None,
        *,
        actor: str,
        key: str | None = None,
        timeout_ms: int | None = None,
    ) -> UpdateAnswer:
        """Have a run take an update; the same key gives the same answer."""
        ask = partial(_update, run=run_id, name=name, value=value)
        return await self._either(
            lambda inner: ask(inner, actor=actor, key=key, timeout_ms=timeout_ms)
        )

    async def inbox(self, run_id: str | None = None) -> list[InboxItem]:
        """Return the questions that wait, oldest first."""
        return await self._inner.inbox(run_id)

    async def answer(
        self,
        item: str,
        *,
        approve: bool,
        approver: str,
        reason: str,
        roles: tuple[str, ...] = (),
    ) -> None:
        """Answer a question as a person, with the roles they were granted."""
        await self._either(
            lambda inner: inner.answer(
                item, approve=approve, approver=approver, reason=reason, roles=roles
            )
        )

    async def discuss(
        self, item: str, text: str, *, actor: Actor, to: str | None = None
    ) -> InboxItem:
        """Say something about an open question, or delegate it."""
        return await self._either(lambda inner: inner.discuss(item, text, actor=actor, to=to))

    async def intervene(self, wish: Any, *, actor: str) -> InboxItem:
        """Ask for something to be done by hand; another person must approve
        it."""
        return await self._either(lambda inner: inner.intervene(wish, actor=actor))

    async def cancel(self, run_id: str, *, actor: str, reason: str) -> None:
        """Ask a run to stop; what it did is compensated."""
        await self._either(lambda inner: inner.cancel(run_id, actor=actor, reason=reason))

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended."""
        await self._either(lambda inner: inner.tell(run, kind, body, actor))

    async def tell_all(self, run: str, told: Sequence[Any], actor: str) -> None:
        """Append events from outside to such a run, all or none."""
        await self._either(lambda inner: inner.tell_all(run, told, actor))


async def _update(inner: EmbeddedEngine, *, run: str, name: str, value: Any, **more: Any) -> Any:
    return await inner.update(run, name, value, **more)
