"""The laws of budgets under interleavings: many callers, two processes."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentsquad.kernel.errors import DeadlineError, LimitError, UnavailableError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget import BudgetBook, Limit, Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

NOON = 1795435200000
DAY = 86_400_000
SCOPES = ("run:1", "run:2", "agent:m", "tenant:a")
periods = st.sampled_from(["total", "day", "month"])
amounts = st.integers(0, 50)
scopes = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=4).map(tuple)


class Budgets(RuleBasedStateMachine):
    """Callers reserve, settle within it, and release, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.book = BudgetBook()
        self.log: list[NewEvent] = []
        self.open: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.at_ms = NOON
        self.count = 0

    def apply(self, events: list[NewEvent]) -> None:
        for event in events:
            self.book.evolve(event.type, event.payload)
        self.log += events

    @initialize(limits=st.dictionaries(st.tuples(st.sampled_from(SCOPES), periods),
                                       st.integers(0, 120), min_size=1))  # fmt: skip
    def set_limits(self, limits: dict[tuple[str, str], int]) -> None:
        for (scope, period), micros in limits.items():
            limit = Limit(scope=scope, currency="USD", micros=micros, period=period)
            self.apply(self.book.decide_set(limit, actor="person:ada"))

    @rule(micros=amounts, scopes=scopes)
    def reserve(self, micros: int, scopes: tuple[str, ...]) -> None:
        self.count += 1
        id = f"s{self.count}"
        request = Request(id=id, currency="USD", micros=micros, scopes=scopes, at_ms=self.at_ms)
        try:
            events = self.book.decide_reserve(request)
        except LimitError:
            return
        self.apply(events)
        if events:
            self.open[id] = (micros, scopes)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), unknown=st.booleans())
    def settle(self, data: st.DataObject, unknown: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.open)))
        micros, scopes = self.open.pop(id)
        cost = None if unknown else Money(data.draw(st.integers(0, micros)), "USD")
        self.apply(self.book.decide_settle(id, scopes, cost))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.open)))
        _, scopes = self.open.pop(id)
        self.apply(self.book.decide_release(id, scopes, "failed"))

    @rule(days=st.integers(0, 9))
    def wait(self, days: int) -> None:
        self.at_ms += days * DAY

    @invariant()
    def nobody_overspends(self) -> None:
        for at_ms in range(NOON, self.at_ms + 1, DAY):
            for line in self.book.lines(at_ms):
                assert line.spent >= 0
                assert line.reserved >= 0
                assert line.left >= 0, line

    @invariant()
    def the_log_alone_gives_the_same_book(self) -> None:
        again = BudgetBook()
        for event in self.log:
            again.evolve(event.type, event.payload)
        assert again.lines(self.at_ms) == self.book.lines(self.at_ms)

    def teardown(self) -> None:
        for id, (_, scopes) in self.open.items():
            self.apply(self.book.decide_release(id, scopes, "over"))
        assert all(line.reserved == 0 and line.open == 0 for line in self.book.lines(self.at_ms))


TestBudgets = pytest.mark.slow(Budgets.TestCase)
TestBudgets.settings = settings(max_examples=50, stateful_step_count=30)


def ledgers(kind: str, folder: Path, count: int) -> list[EventStore]:
    """Open one log several times, as several processes would."""
    url = "memory:" if kind == "memory" else f"sqlite:///{folder}/ledger.db"
    clock = ManualClock(NOON)
    return [open_ledger(url, clock, SeededEntropy(f"{n}")).store for n in range(count)]


def usd(scope: str, micros: int) -> Limit:
    return Limit(scope=scope, currency="USD", micros=micros)


async def spend(
    keeper: BudgetKeeper, id: str, chance: random.Random, scopes: tuple[str, ...]
) -> int:
    """Do what a step does; return what it really cost."""
    asked = chance.randint(0, 40)
    request = Request(id=id, currency="USD", micros=asked, scopes=scopes, at_ms=NOON)
    cost = chance.randint(0, asked)
    try:
        async with keeper.hold(request) as hold:
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
            if chance.random() < 0.2:
                raise UnavailableError("the model is down")
            hold.settle(Money(cost, "USD"))
    except LimitError:
        return 0
    except UnavailableError:
        return 0
    return cost


@given(seed=st.integers(0, 2**32))
def test_fifty_concurrent_callers_never_overspend(seed: int) -> None:
    async def trial() -> None:
        chance = random.Random(seed)
        (store,) = ledgers("memory", Path(), 1)
        keeper = BudgetKeeper(store)
        await keeper.set(usd("tenant:a", 400), actor="person:ada")
        await keeper.set(usd("agent:m", 250), actor="person:ada")
        costs = await asyncio.gather(
            *(
                spend(keeper, f"s{n}", chance, ("tenant:a", "agent:m")[: chance.randint(1, 2)])
                for n in range(50)
            )
        )
        tenant = next(line for line in await keeper.lines(NOON) if line.scope == "tenant:a")
        assert (tenant.reserved, tenant.open) == (0, 0)
        assert tenant.spent == sum(costs) <= 400
        for line in await BudgetKeeper(store).lines(NOON):  # read from the log alone
            assert line.left >= 0

    asyncio.run(trial())


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(3))
async def test_two_processes_on_one_file_never_overspend(trial: int, tmp_path: Path) -> None:
    """Each keeper has its own connection and view, as processes do."""
    stores = ledgers("sqlite", tmp_path, 2)
    keepers = [BudgetKeeper(store) for store in stores]
    await keepers[0].set(usd("tenant:a", 300), actor="person:ada")
    chance = random.Random(trial)
    costs = await asyncio.gather(
        *(spend(keepers[n % 2], f"s{n}", chance, ("tenant:a",)) for n in range(30))
    )
    for keeper in keepers:
        (line,) = await keeper.lines(NOON)
        assert (line.spent, line.reserved, line.open) == (sum(costs), 0, 0)
        assert line.spent <= 300
    # at any moment of the recorded history, not only at its end
    book = BudgetBook()
    for event in await stores[0].read(limit=10_000):
        book.evolve(event.type, event.payload)
        assert all(line.left >= 0 for line in book.lines(NOON))
    for store in stores:
        store.close()


async def keeper_with(micros: int) -> BudgetKeeper:
    (store,) = ledgers("memory", Path(), 1)
    keeper = BudgetKeeper(store)
    await keeper.set(usd("run:1", micros), actor="person:ada")
    return keeper


def ten(id: str) -> Request:
    return Request(id=id, currency="USD", micros=10, scopes=("run:1",), at_ms=NOON)


async def test_a_cancelled_caller_holds_nothing() -> None:
    keeper = await keeper_with(10)
    for turns in range(8):
        caller = asyncio.create_task(keeper.reserve(ten(f"s{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = caller.done()
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        if finished:
            await keeper.release(f"s{turns}", ("run:1",), "the test is over")
        await keeper.reserve(ten(f"next{turns}"))
        await keeper.release(f"next{turns}", ("run:1",), "the test is over")
        (line,) = await keeper.lines(NOON)
        assert (line.reserved, line.open) == (0, 0)


async def test_a_deadline_counts_as_spent_and_other_failures_do_not() -> None:
    keeper = await keeper_with(100)
    with pytest.raises(UnavailableError):
        async with keeper.hold(ten("s1")):
            raise UnavailableError("down")
    (line,) = await keeper.lines(NOON)
    assert (line.spent, line.reserved, line.unknown) == (0, 0, 0)
    with pytest.raises(DeadlineError):
        async with keeper.hold(ten("s2")):
            raise DeadlineError("too late")
    async with keeper.hold(ten("s3")):
        pass
    (line,) = await keeper.lines(NOON)
    assert (line.spent, line.reserved, line.unknown) == (20, 0, 2)


async def test_many_callers_share_an_append() -> None:
    (store,) = ledgers("memory", Path(), 1)
    keeper = BudgetKeeper(store)
    await keeper.set(usd("run:1", 10_000), actor="person:ada")
    before = store.commits
    await asyncio.gather(*(keeper.reserve(ten(f"s{n}")) for n in range(50)))
    assert store.commits - before <= 3
    (line,) = await keeper.lines(NOON)
    assert (line.reserved, line.open) == (500, 50)


async def test_a_store_that_fails_refuses_everybody_and_recovers() -> None:
    keeper = await keeper_with(100)
    append = keeper._store.append

    async def broken(*args: object, **options: object) -> None:
        raise UnavailableError("disk full")

    keeper._store.append = broken  # type: ignore[method-assign, assignment]
    answers = await asyncio.gather(
        *(keeper.reserve(ten(f"s{n}")) for n in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [UnavailableError] * 3
    keeper._store.append = append  # type: ignore[method-assign]
    await keeper.reserve(ten("s9"))
    (line,) = await keeper.lines(NOON)
    assert (line.reserved, line.open) == (10, 1)


CHILD = """
import asyncio, sys
from agentsquad.kernel.errors import LimitError
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget import Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

url, name = sys.argv[1:]

async def one(keeper, n):
    try:
        await keeper.reserve(
            Request(id=f"{name}{n}", currency="USD", micros=7, scopes=("tenant:a",), at_ms=0)
        )
    except LimitError:
        return 0
    return 7

async def main():
    keeper = BudgetKeeper(open_ledger(url, ManualClock(0), SeededEntropy(name)).store)
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum(await asyncio.gather(*(one(keeper, n) for n in range(50)))))

asyncio.run(main())
"""


@pytest.mark.slow
async def test_two_operating_system_processes_never_overspend(tmp_path: Path) -> None:
    """Both wait for a word, so that their fifty callers each start together."""
    (store,) = ledgers("sqlite", tmp_path, 1)
    await BudgetKeeper(store).set(usd("tenant:a", 500), actor="person:ada")
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, f"sqlite:///{tmp_path}/ledger.db", name,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    for child in children:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(child.communicate(b"go\n") for child in children))
    granted = sum(int(output) for output, _ in outputs)
    (line,) = await BudgetKeeper(store).lines(0)
    assert granted == line.reserved == 71 * 7  # all that fits, not a micro more
    store.close()
