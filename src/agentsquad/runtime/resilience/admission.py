"""Admission: whether a new run may begin now, must wait for its turn, or is
refused before anything of it is written.

What is begun comes first: only new root runs, and calls from outside that
begin something, pass here. Steps, children, answers, signals, timers and the
recovery of open runs never do, so an engine under any load goes on finishing
what it has, and goodput stays near what it can do ("Using load shedding to
avoid overload", Amazon Builders' Library).

How many may be at work is learned (`concurrency`), who is next is fair
(`line`), and who is refused is told when to come again, by how fast the line
moves, spread by chance so that those refused together do not return together.
Law: an admitted start is never refused later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.runtime.resilience.concurrency import Concurrency, Tuning
from agentsquad.runtime.resilience.contract import (
    AdmissionClosedError,
    AdmissionSettingError,
    Board,
    Load,
    OverloadedError,
    PoolLoad,
)
from agentsquad.runtime.resilience.line import Line, Tide, Waiting

TICK_MS = 5.0
POST_MS = 1_000.0
RETRY_MIN_MS, RETRY_MAX_MS = 100.0, 30_000.0
_ALONE = 2

# What people answer and look at is let through under any load, and a start has
# its own place in the line.
FINISHING = ("approvals.", "budget.", "control.", "effects.", "engine.", "log.", "runs.")

SETTINGS = {
    "SQUAD_RUNS_AT_ONCE": "at_once_max",
    "SQUAD_RUNS_WAITING": "waiting_max",
    "SQUAD_STEP_DELAY_MS": "delay_target_ms",
    "SQUAD_START_PATIENCE_MS": "patience_ms",
}


def tuning_of(environment: Mapping[str, str]) -> Tuning:
    """Return what the environment says; AdmissionSettingError if it is no
    whole number above zero.
    """
    found: dict[str, int] = {}
    for name, field in SETTINGS.items():
        text = environment.get(name, "")
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and int(text)):
            raise AdmissionSettingError(
                f"{name} is {text!r}, expected a whole number above zero",
                hint=f"unset {name} or give it a number",
            )
        found[field] = int(text)
    if "at_once_max" in found:
        found["at_once_min"] = min(found["at_once_max"], Tuning().at_once_min)
    return Tuning(**found)


class Entry:
    """A place held while a run is begun."""

    __slots__ = ("_actor", "_admission", "_began", "_held", "_there")

    def __init__(
        self, admission: Admission, actor: str, there: Callable[[], Awaitable[bool]] | None
    ) -> None:
        self._admission = admission
        self._actor = actor
        self._there = there
        self._held = False
        self._began = 0.0

    async def __aenter__(self) -> None:
        self._held = await self._admission.enter(self._actor, self._there)
        self._began = self._admission.clock.monotonic_ms()

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._held:
            self._admission.entered(self._began, known=kind is None)


class Admission:
    """Lets starts in, one by one."""

    def __init__(
        self,
        clock: Clock,
        entropy: Entropy,
        tuning: Tuning | None = None,
        board: Board | None = None,
    ) -> None:
        now = clock.monotonic_ms()
        self.clock = clock
        self._entropy = entropy
        self._board = board
        self.tuning = tuning or Tuning()
        self._concurrency = Concurrency(self.tuning, now)
        self._tide = Tide(self.tuning.interval_ms, self.tuning.intervals, now)
        self._line: Line[asyncio.Future[None]] = Line()
        self._entering = 0
        self._ticker: asyncio.Task[None] | None = None
        self._later: asyncio.Task[None] | None = None
        self._shown = False
        self._posted = now - POST_MS
        self._admitted = 0
        self._refused = 0
        self._at_work: Callable[[], int] | None = None
        self.pools: Callable[[], tuple[PoolLoad, ...]] = tuple

    @property
    def bound(self) -> bool:
        """Whether an engine of this process begins runs through it."""
        return self._at_work is not None

    def bind(self, at_work: Callable[[], int]) -> None:
        """Learn from an engine how many runs it has at work."""
        self._at_work = at_work

    def at_work(self) -> int:
        """Return how many runs are at work or about to be."""
        return self._entering + (self._at_work() if self._at_work is not None else 0)

    def entry(self, actor: str, *, there: Callable[[], Awaitable[bool]] | None = None) -> Entry:
        """Return what holds a place from its `async with` until the run is
        known to the log.

        Entering waits while too many are at work; OverloadedError when that is
        hopeless. `there` says whether the run exists already: to continue one
        is never refused.
        """
        return Entry(self, actor, there)

    async def enter(self, actor: str, there: Callable[[], Awaitable[bool]] | None) -> bool:
        """Take a place; False if none is needed."""
        if not len(self._line) and self._room():
            self._entering += 1
            self._tide.came()
            self._tide.went()
        elif there is not None and await there():
            return False
        else:
            await self._wait(actor)
        self._admitted += 1
        return True

    def entered(self, began_ms: float, *, known: bool) -> None:
        """Give the place back, now that the run is at work or came to
        nothing.
        """
        if known:
            alone = self.at_work() <= _ALONE
            self._concurrency.took(began_ms, self.clock.monotonic_ms(), alone=alone)
        self._entering -= 1
        self._turn()
        self.pulse()

    def consider(self, action: str) -> None:
        """Refuse a call from outside while more comes than can be done, unless
        it helps to finish what is begun or to see what goes on.
        """
        if self._tide.high and not action.startswith(FINISHING):
            self._turn()
            if self._tide.high:
                raise self._refusal(f"no {action} now")

    def pulse(self, event: object = None) -> None:
        """Show the load to other processes, at most once in `POST_MS` and once
        more after the last change.
        """
        if self._board is None or self._later is not None:
            return
        left = self._posted + POST_MS - self.clock.monotonic_ms()
        if left <= 0:
            self._post()
        else:
            self._later = asyncio.get_running_loop().create_task(self._post_in(left))

    async def _post_in(self, duration_ms: float) -> None:
        await self.clock.sleep_ms(duration_ms)
        self._later = None
        self._post()

    def _post(self) -> None:
        self._posted = self.clock.monotonic_ms()
        if self._board is not None:
            self._shown = True
            self._board.post(self.load())

    def load(self) -> Load:
        """Return how things stand."""
        self._turn()
        return Load(
            limit=self._concurrency.limit,
            at_work=self.at_work(),
            waiting=len(self._line),
            delay_ms=round(self._concurrency.delay_ms, 1),
            starts_s=round(self._tide.rate_s, 1),
            admitted=self._admitted,
            refused=self._refused,
            overloaded=self._tide.high,
            at_ms=self.clock.now_ms(),
            pools=self.pools(),
        )

    def close(self) -> None:
        """Refuse whoever still waits."""
        while (waiting := self._line.take(newest=False)) is not None:
            if not waiting.told.done():
                waiting.told.set_exception(AdmissionClosedError())
        for task in (self._ticker, self._later):
            if task is not None:
                task.cancel()
        self._ticker = self._later = None
        if self._board is not None and self._shown:  # never what another process shows
            self._board.clear()

    # --- the line

    def _room(self) -> bool:
        return self.at_work() < self._concurrency.limit

    def _longest(self) -> int:
        """Return how many may wait: while more come than can be begun, those
        that are begun within the patience of one.
        """
        if not self._tide.high:
            return self.tuning.waiting_max
        soon = int(self._tide.rate_s * self.tuning.patience_ms / 1000)
        return min(max(soon, self.tuning.at_once_min), self.tuning.waiting_max)

    async def _wait(self, actor: str) -> None:
        self._tide.came()
        self._concurrency.press()
        if len(self._line) >= self._longest():
            if not self._line.few(actor):
                raise self._refusal("no new run now")
            self._refuse(self._line.crowd())
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = Waiting(actor, self.clock.monotonic_ms(), told)
        self._line.join(waiting)
        if self._room():
            self._turn()
        if self._ticker is None and not told.done():
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
        try:
            await told
        except asyncio.CancelledError:
            self._line.leave(waiting)
            if told.done() and not told.cancelled() and told.exception() is None:
                self._entering -= 1  # it was let in while it gave up
                self._turn()
            raise

    async def _tick(self) -> None:
        """Look again and again while somebody waits: a place also comes free
        when a run begins to wait for a person or for time.
        """
        while len(self._line):
            self._turn()
            self.pulse()
            await self.clock.sleep_ms(TICK_MS)
        self._tide.emptied()
        self._line.forget()
        self._ticker = None

    def _turn(self) -> None:
        now = self.clock.monotonic_ms()
        self._tide.turn(now)
        if len(self._line):
            self._concurrency.press()
        self._concurrency.turn(now, measuring=self._entering > 0)
        if self._tide.high:
            for waiting in self._line.stale(now, self.tuning.patience_ms):
                self._refuse(waiting)
        while len(self._line) and self._room():
            following = self._line.take(newest=self._tide.newest)
            if following is not None and not following.told.done():
                self._entering += 1
                self._tide.went()
                following.told.set_result(None)

    # --- refusing

    def _refuse(self, waiting: Waiting[asyncio.Future[None]] | None) -> None:
        if waiting is not None and not waiting.told.done():
            waiting.told.set_exception(self._refusal("no new run now"))

    def _refusal(self, what: str) -> OverloadedError:
        self._refused += 1
        work, line = self.at_work(), len(self._line)
        return OverloadedError(
            f"{what}: {work} runs at work, {line} wait for their turn",
            hint="wait retry_after_ms, then ask again; squad engine status shows the load",
            details={"at_work": work, "limit": self._concurrency.limit, "waiting": line},
            retry_after_ms=self._retry_after_ms(),
        )

    def _retry_after_ms(self) -> int:
        """Return when the line of now, and as many more as come for each that
        is begun, have been worked off, spread by half of it to either side.
        """
        rate = self._tide.rate_s
        ahead = 1000 * (len(self._line) + 1) / rate if rate else self.tuning.interval_ms
        ahead *= max(1.0, self._tide.pressure)
        chance = int.from_bytes(self._entropy.token(4)) / 2**32
        return round(min(max(ahead, RETRY_MIN_MS), RETRY_MAX_MS) * (0.5 + chance))
