"""Fifty callers at once, a thousand times: nobody overspends, and the log adds
up to what was really used, to the micro-unit.

What was used is counted by the callers themselves; what the log says is added
up here from its events, without the code that keeps budgets.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.errors import DeadlineError, LimitError, UnavailableError
from agentsquad.kernel.event import Event
from agentsquad.kernel.money import Money
from agentsquad.runtime.ledger.contract import RecordStore
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget import Limit, Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

NOON = 1795435200000
CALLERS, TRIALS, TRIALS_PER_LOG = 50, 1_000, 50


def opened(url: str = "memory:", seed: str = "") -> RecordStore:
    return open_ledger(url, ManualClock(NOON), SeededEntropy(seed)).store


class Books:
    """Adds up events, one after the other: limits, what is open, what is
    spent.
    """

    def __init__(self) -> None:
        self.limit: dict[str, int] = {}
        self.open: dict[tuple[str, str], int] = {}
        self.reserved: dict[str, int] = defaultdict(int)
        self.spent: dict[str, int] = defaultdict(int)

    def add(self, event: Event) -> None:
        """Apply an event and see that nothing is overspent after it."""
        said = event.payload
        scope = said["scope"]
        place = (scope, said.get("id", ""))
        if event.type == "budget.set":
            self.limit[scope] = said["micros"]
        elif event.type == "budget.reserved":
            assert place not in self.open, "reserved twice"
            self.open[place] = said["micros"]
            self.reserved[scope] += said["micros"]
        else:
            held = self.open.pop(place)
            self.reserved[scope] -= held
            if event.type == "budget.settled":
                self.spent[scope] += held if said["micros"] is None else said["micros"]
        assert self.spent[scope] + self.reserved[scope] <= self.limit[scope], (scope, event.seq)


async def books_of(store: RecordStore) -> Books:
    books = Books()
    after = 0
    while events := await store.read(after=after, limit=5_000):
        for event in events:
            books.add(event)
        after = events[-1].seq
    return books


class Caller:
    """Wants to spend something once, in the ways that work goes well or
    wrong.
    """

    def __init__(self, name: str, scopes: Sequence[str], chance: random.Random) -> None:
        self.asked = chance.randint(0, 40_000_003)
        self.cost = chance.randint(0, self.asked)
        self.fate = chance.choice(("done",) * 5 + ("failed", "late", "cancelled", "crash", "crash"))
        self.turns = chance.randint(0, 3)
        self.scopes = tuple(scopes)
        self.request = Request(
            id=name, currency="USD", micros=self.asked, scopes=self.scopes, at_ms=NOON
        )
        self.used: int | None = 0

    async def run(self, keeper: BudgetKeeper) -> None:
        """Spend, or be refused; `used` is what somebody will have to pay."""
        if self.fate == "crash":
            return await self._reserve_and_vanish(keeper)
        try:
            async with keeper.hold(self.request) as hold:
                self.used = None
                for _ in range(self.turns):
                    await asyncio.sleep(0)
                self._end()
                self.used = self.cost
                hold.settle(Money(self.cost, "USD"))
        except (LimitError, UnavailableError):
            self.used = 0
        except DeadlineError:
            self.used = self.asked  # nobody knows, so all of it

    def _end(self) -> None:
        if self.fate == "failed":
            raise UnavailableError("the model is down")
        if self.fate == "late":
            raise DeadlineError("no answer in time")
        if self.fate == "cancelled":
            raise asyncio.CancelledError

    async def _reserve_and_vanish(self, keeper: BudgetKeeper) -> None:
        """Stop between reserve and settle, as a process that dies does."""
        try:
            await keeper.reserve(self.request)
        except LimitError:
            return
        self.used = None

    async def resume(self, keeper: BudgetKeeper) -> None:
        """Do in the next process what was left undone: find the reservation."""
        if self.used is None:
            await keeper.reserve(self.request)
            self.used = self.cost
            await keeper.settle(self.request.id, self.scopes, Money(self.cost, "USD"))


async def trial(number: int, store: RecordStore, keepers: Sequence[BudgetKeeper]) -> dict[str, int]:
    """Let fifty callers spend at once, through two keepers; return what was
    used by scope.
    """
    chance = random.Random(number)
    scopes = [f"tenant:t{number}", f"agent:a{number}"]
    for scope in scopes:
        micros = chance.randint(0, 600_000_007)
        limit = Limit(scope=scope, currency="USD", micros=micros)
        await keepers[0].set(limit, actor="person:ada")
    callers = [
        Caller(f"s{number}.{n}", scopes[: chance.randint(1, 2)], chance) for n in range(CALLERS)
    ]
    for caller in callers:
        if caller.fate == "cancelled":
            caller.used = 0
    await asyncio.gather(
        *(caller.run(keepers[n % len(keepers)]) for n, caller in enumerate(callers)),
        return_exceptions=True,
    )
    keeper = BudgetKeeper(store) if number % 10 == 0 else keepers[1]  # also one that restarts
    await asyncio.gather(*(caller.resume(keeper) for caller in callers if caller.fate == "crash"))
    return used_by_scope(callers)


def used_by_scope(callers: Iterable[Any]) -> dict[str, int]:
    used: dict[str, int] = defaultdict(int)
    for caller in callers:
        if caller.fate == "cancelled":
            continue  # stopped before it spent, and released
        assert caller.used is not None
        for scope in caller.scopes:
            used[scope] += caller.used
    return used


@pytest.mark.slow
@pytest.mark.parametrize("quarter", range(4))
def test_fifty_callers_a_thousand_times_never_overspend_and_the_sums_agree(quarter: int) -> None:
    spent = 0

    async def logs(first: int) -> None:
        nonlocal spent
        store = opened(seed=str(first))
        keepers = [BudgetKeeper(store), BudgetKeeper(store)]
        used: dict[str, int] = {}
        for number in range(first, first + TRIALS_PER_LOG):
            used |= await trial(number, store, keepers)
        books = await books_of(store)
        assert not books.open
        assert len(books.limit) == 2 * TRIALS_PER_LOG
        for scope in books.limit:
            assert books.spent[scope] == used.get(scope, 0), scope
            spent += books.spent[scope]
        for line in await BudgetKeeper(store).lines(NOON):
            assert (line.spent, line.reserved, line.open) == (used.get(line.scope, 0), 0, 0)

    for first in range(quarter * TRIALS // 4, (quarter + 1) * TRIALS // 4, TRIALS_PER_LOG):
        asyncio.run(logs(first))
    assert spent > TRIALS // 4 * 1_000_000


class Interrupted:
    """A store in front of which somebody else acts between the commit of an
    append and its answer.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self.act: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, *args: Any, **options: Any) -> Any:
        stored = await self._store.append(*args, **options)
        act, self.act = self.act, None
        if act is not None:
            await act()
        return stored


def ask(id: str, micros: int, *scopes: str) -> Request:
    return Request(id=id, currency="USD", micros=micros, scopes=scopes, at_ms=NOON)


async def test_looking_at_budgets_while_one_is_written_loses_nothing_of_others(
    tmp_path: Path,
) -> None:
    """Another process reserves, and this one looks, before it hears that its
    own reservation was written.
    """
    url = f"sqlite:///{tmp_path}/ledger.db"
    mine, theirs = Interrupted(opened(url, "a")), opened(url, "b")
    keeper, other = BudgetKeeper(mine), BudgetKeeper(theirs)  # type: ignore[arg-type]
    await keeper.set(Limit(scope="tenant:a", currency="USD", micros=100), actor="person:ada")
    looking: list[asyncio.Task[Any]] = []

    async def meanwhile() -> None:
        await other.reserve(ask("theirs", 80, "tenant:a"))
        await other.set(Limit(scope="tenant:b", currency="USD", micros=5), actor="person:ada")
        looking.append(asyncio.create_task(keeper.lines(NOON)))
        for _ in range(5):
            await asyncio.sleep(0)

    mine.act = meanwhile
    await keeper.reserve(ask("mine", 10, "tenant:a"))
    await asyncio.gather(*looking)
    with pytest.raises(LimitError):
        await keeper.reserve(ask("more", 20, "tenant:a"))
    with pytest.raises(LimitError):
        await keeper.reserve(ask("other", 6, "tenant:b"))
    standing = {line.scope: line.reserved for line in await keeper.lines(NOON)}
    assert standing == {"tenant:a": 90, "tenant:b": 0}
    await books_of(theirs)
    mine.close()
    theirs.close()  # type: ignore[attr-defined]


async def test_what_an_interrupted_attempt_may_have_spent_counts_as_spent() -> None:
    """A process dies after it asked the model and before it settled: the bill
    will come, and the next attempt is paid for as well, or refused.
    """
    store = opened()
    await BudgetKeeper(store).set(
        Limit(scope="run:1", currency="USD", micros=100), actor="person:ada"
    )
    for lives in range(1, 4):
        dying = BudgetKeeper(store).hold(ask("step", 30, "run:1"))
        await dying.__aenter__()  # and nothing after it: the process is gone
        (line,) = await BudgetKeeper(store).lines(NOON)
        assert (line.spent, line.reserved, line.open) == (30 * (lives - 1), 30, 1)
    with pytest.raises(LimitError):
        async with BudgetKeeper(store).hold(ask("step", 30, "run:1")):
            raise AssertionError("a fourth attempt may cost 30, and 10 are left")
    async with BudgetKeeper(store).hold(ask("step", 10, "run:1")) as hold:
        hold.settle(Money(7, "USD"))
    (line,) = await BudgetKeeper(store).lines(NOON)
    assert (line.spent, line.reserved, line.unknown, line.open) == (97, 0, 3, 0)
    await books_of(store)
