"""Every participant of a transaction keeps the same promises, over real
servers, and the coordinator over two of them leaves both changed or neither,
wherever it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.errors import ConflictError, UnavailableError
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.transactions.contract import (
    DatabaseMissingError,
    DatabaseUnavailableError,
    Part,
    Participant,
    RefusedError,
    RowsError,
    Statement,
    StatementError,
)
from agentsquad.runtime.transactions.coordinator import Coordinator
from agentsquad.runtime.transactions.plugin import participant
from agentsquad.testing import ManualClock, SeededEntropy

ENGINES = ("postgresql", "mariadb")
TABLE = "create table account (name varchar(20) primary key, held int not null check (held >= 0))"


@pytest.fixture
def urls(postgresql_database: str, mariadb_database: str) -> dict[str, str]:
    """The address of an empty database of each engine."""
    return {"postgresql": postgresql_database, "mariadb": mariadb_database}


def scalar(engine: str, url: str, sql: str) -> Any:
    """Do a statement by itself and return the first value it gives."""
    if engine == "postgresql":
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchone()[0] if cursor.description else None
    from urllib.parse import unquote, urlsplit

    import pymysql

    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname, port=parts.port, user=parts.username,
        password=unquote(parts.password or ""), database=parts.path.strip("/"), autocommit=True,
    )  # fmt: skip
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


@pytest.fixture
def banks(urls: dict[str, str]) -> Iterator[dict[str, str]]:
    """Two banks, in each of which ada holds 100."""
    for engine, url in urls.items():
        scalar(engine, url, TABLE)
        scalar(engine, url, "insert into account values ('ada', 100)")
    yield urls


def held(banks: dict[str, str]) -> list[int]:
    """What ada holds in each bank."""
    return [scalar(name, banks[name], "select held from account") for name in ENGINES]


def move(amount: int, **options: Any) -> Statement:
    """Add to what ada holds."""
    sql = "update account set held = held + %s where name = %s"
    return Statement(sql=sql, params=(amount, "ada"), **options)


class Two:
    """The two banks (`Participants`); `down` cannot be reached."""

    def __init__(self, banks: dict[str, str]) -> None:
        self.made: dict[str, Participant] = {n: participant(n, n, banks[n]) for n in ENGINES}
        self.down: set[str] = set()

    async def participant(self, name: str) -> Participant:
        """Return one."""
        if name in self.down:
            raise DatabaseUnavailableError(name)
        if name not in self.made:
            raise DatabaseMissingError(name)
        return self.made[name]

    async def names(self) -> list[str]:
        """Both."""
        return list(self.made)


class Crash(BaseException):
    """The process dies here."""


class World:
    """A log, two banks and coordinators that can die."""

    def __init__(self, banks: dict[str, str]) -> None:
        self.clock = ManualClock()
        self.ledger = open_ledger("memory:", self.clock, SeededEntropy())
        self.two = Two(banks)
        self.banks = banks

    def coordinator(self) -> Coordinator:
        """A new process."""
        return Coordinator(self.ledger.store, self.two, self.clock)

    async def transfer(self, key: str = "k", amount: int = 30, **options: Any) -> Any:
        """Move money from one bank into the other."""
        parts = (
            Part(database="postgresql", statements=(move(-amount, **options),)),
            Part(database="mariadb", statements=(move(amount),)),
        )
        return await self.coordinator().carry_out(
            key, parts, run="r", position="1", actor="person:ada", timeout_ms=5_000
        )

    async def promised(self) -> list[str]:
        """Every branch that waits to be told."""
        return [gid for one in self.two.made.values() for gid in await one.promised()]


@pytest.fixture
async def world(banks: dict[str, str]) -> AsyncIterator[World]:
    """One world; whatever is promised in it is forgotten afterwards."""
    made = World(banks)
    yield made
    for one in made.two.made.values():
        await one.close()
    for name in ENGINES:
        one = participant(name, name, banks[name])
        for gid in await one.promised():
            await one.rollback(gid)


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_was_promised_counts_only_once_it_is_committed(engine, banks):
    one = participant(engine, engine, banks[engine])
    results = await one.prepare("squad-a-0", [move(5, rows=1)], timeout_ms=5_000)
    assert [result.rows for result in results] == [1]
    assert scalar(engine, banks[engine], "select held from account") == 100
    assert await one.promised() == ["squad-a-0"]
    await one.commit("squad-a-0")
    assert scalar(engine, banks[engine], "select held from account") == 105
    assert await one.promised() == []
    await one.commit("squad-a-0")  # telling twice changes nothing
    await one.rollback("squad-a-0")
    assert scalar(engine, banks[engine], "select held from account") == 105


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_promise_outlives_the_process_that_made_it(engine, banks):
    first = participant(engine, engine, banks[engine])
    await first.prepare("squad-b-0", [move(5)], timeout_ms=5_000)
    await first.close()
    second = participant(engine, engine, banks[engine])
    assert await second.promised() == ["squad-b-0"]
    await second.commit("squad-b-0")
    assert scalar(engine, banks[engine], "select held from account") == 105


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_promise_is_told_from_elsewhere_while_its_maker_still_lives(engine, banks):
    first = participant(engine, engine, banks[engine])
    await first.prepare("squad-c-0", [move(5)], timeout_ms=5_000)
    second = participant(engine, engine, banks[engine])
    telling = asyncio.ensure_future(second.commit("squad-c-0"))
    await asyncio.sleep(0)
    await first.close()
    await telling
    assert scalar(engine, banks[engine], "select held from account") == 105


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_was_rolled_back_never_was(engine, banks):
    one = participant(engine, engine, banks[engine])
    await one.prepare("squad-d-0", [move(5)], timeout_ms=5_000)
    await one.rollback("squad-d-0")
    assert scalar(engine, banks[engine], "select held from account") == 100


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (Statement(sql="updat account"), StatementError),
        (Statement(sql="update nowhere set a = 1"), StatementError),
        (move(-500), RefusedError),
        (Statement(sql="insert into account values ('ada', 1)"), RefusedError),
        (Statement(sql="update account set held = 1 where name = 'bob'", rows=1), RowsError),
    ],
)
async def test_what_cannot_be_promised_leaves_nothing(engine, statement, error, banks):
    one = participant(engine, engine, banks[engine])
    with pytest.raises(error) as raised:
        await one.prepare("squad-e-0", [move(5), statement], timeout_ms=5_000)
    assert engine in str(raised.value)
    assert await one.promised() == []
    assert scalar(engine, banks[engine], "select held from account") == 100


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_selected_comes_back_as_json(engine, banks):
    one = participant(engine, engine, banks[engine])
    select = Statement(sql="select name, held from account where held > %s", params=(1,))
    results = await one.prepare("squad-f-0", [select, move(1)], timeout_ms=5_000)
    assert results[0].returned == ({"name": "ada", "held": 100},)
    await one.rollback("squad-f-0")


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_database_that_is_not_there_is_unavailable_and_its_password_stays_secret(engine):
    scheme = {"postgresql": "postgresql", "mariadb": "mysql"}[engine]
    one = participant("bank", engine, f"{scheme}://ada:s3cret@127.0.0.1:1/nothing")
    with pytest.raises(UnavailableError) as raised:
        await one.prepare("squad-g-0", [move(1)], timeout_ms=5_000)
    assert raised.value.code == "transaction.unavailable"
    assert "s3cret" not in str(raised.value.to_dict())


async def test_both_change_together(world):
    output, pending = await world.transfer()
    assert held(world.banks) == [70, 130] and pending == ()
    assert [part["results"][0]["rows"] for part in output] == [1, 1]
    assert await world.promised() == []
    assert (await world.coordinator().standing("k")).state == "committed"


async def test_where_one_refuses_neither_changes(world):
    with pytest.raises(RefusedError) as raised:
        await world.transfer(amount=1_000)
    assert raised.value.details["sent"] is False
    assert held(world.banks) == [100, 100] and await world.promised() == []
    assert (await world.coordinator().standing("k")).state == "aborted"


async def test_where_one_is_gone_neither_changes(world):
    world.two.made["mariadb"] = participant(
        "mariadb", "mariadb", "mysql://ada:x@127.0.0.1:1/nothing"
    )
    with pytest.raises(UnavailableError):
        await world.transfer()
    assert held(world.banks)[0] == 100


class Dying:
    """A participant whose coordinator dies before or after one of its
    calls."""

    def __init__(self, inner: Participant, verb: str, when: str) -> None:
        self._inner, self._verb, self._when = inner, verb, when

    def __getattr__(self, verb: str) -> Any:
        call = getattr(self._inner, verb)
        if verb != self._verb:
            return call

        async def die(*args: Any, **options: Any) -> Any:
            if self._when == "before":
                raise Crash
            await call(*args, **options)
            raise Crash

        return die


POINTS = [
    (name, verb, when)
    for name in ENGINES
    for verb in ("prepare", "commit")
    for when in ("before", "after")
]


@pytest.mark.parametrize(("name", "verb", "when"), POINTS)
async def test_whoever_comes_after_a_crash_brings_it_to_one_end_everywhere(name, verb, when, world):
    real = dict(world.two.made)
    world.two.made[name] = Dying(real[name], verb, when)
    with pytest.raises(Crash):
        await world.transfer()
    await asyncio.sleep(0.2)  # what the others had begun before the crash ends
    for one in real.values():
        await one.close()
    world.two.made = {n: participant(n, n, world.banks[n]) for n in ENGINES}
    standing = await world.coordinator().settle("k", "service:squad")
    assert standing.ended
    expected = [70, 130] if verb == "commit" else [100, 100]
    assert held(world.banks) == expected and await world.promised() == []


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_log_that_fails_at_any_append_leaves_no_half(at, world):
    real, appends = world.ledger.store.append, 0

    async def failing(events: Any, **options: Any) -> Any:
        nonlocal appends
        appends += 1
        if appends == at + 1:
            raise Crash
        return await real(events, **options)

    world.ledger.store.append = failing
    with pytest.raises(Crash):
        await world.transfer()
    world.ledger.store.append = real
    await world.coordinator().settle("k", "service:squad")
    assert held(world.banks) == ([70, 130] if at == 2 else [100, 100])
    assert await world.promised() == []


async def test_a_coordinator_that_slept_learns_that_it_was_given_up(world):
    asleep = asyncio.Event()
    awake = asyncio.Event()
    inner = world.two.made["mariadb"]

    class Slow(Dying):
        def __getattr__(self, verb: str) -> Any:
            call = getattr(self._inner, verb)

            async def slow(*args: Any, **options: Any) -> Any:
                result = await call(*args, **options)
                asleep.set()
                await awake.wait()
                return result

            return slow if verb == "prepare" else call

    world.two.made["mariadb"] = Slow(inner, "", "")
    transfer = asyncio.ensure_future(world.transfer())
    await asleep.wait()
    await world.clock.advance(6_000)
    done, strangers = await world.coordinator().recover("service:squad")
    assert [one.state for one in done] == ["aborted"] and strangers == []
    awake.set()
    with pytest.raises(ConflictError, match="given up"):
        await transfer
    assert held(world.banks) == [100, 100] and await world.promised() == []


async def test_a_database_that_is_away_while_it_is_told_is_told_later(world):
    real = world.two.made["mariadb"]
    world.two.made["mariadb"] = Away(real)
    transfer = asyncio.ensure_future(world.transfer())
    while not transfer.done():
        await asyncio.sleep(0.05)
        await world.clock.advance(10_000)
    _, pending = await transfer
    assert pending == ("mariadb",) and held(world.banks) == [70, 100]
    assert (await world.coordinator().standing("k")).state == "committed, not everywhere yet"
    world.two.made["mariadb"] = real
    done, _ = await world.coordinator().recover("service:squad")
    assert [one.left for one in done] == [()]
    assert held(world.banks) == [70, 130]


class Away(Dying):
    """Promises, and is then not heard of."""

    def __init__(self, inner: Participant) -> None:
        super().__init__(inner, "commit", "before")

    def __getattr__(self, verb: str) -> Any:
        if verb != "commit":
            return getattr(self._inner, verb)

        async def gone(gid: str) -> None:
            raise DatabaseUnavailableError("away")

        return gone


async def test_a_promise_that_came_late_is_found_and_a_strangers_is_left_alone(world):
    with pytest.raises(RefusedError):
        await world.transfer(amount=1_000)
    late, stranger = "squad-k-1", "squad-other-0"
    await world.two.made["mariadb"].prepare(late, [move(7)], timeout_ms=5_000)
    await world.two.made["postgresql"].prepare(stranger, [move(9)], timeout_ms=5_000)
    _, strangers = await world.coordinator().recover("service:squad")
    assert strangers == [f"postgresql: {stranger}"]
    assert await world.promised() == [stranger]
    await world.two.made["postgresql"].rollback(stranger)
    assert held(world.banks) == [100, 100]


async def test_a_step_whose_engine_was_stopped_between_decision_and_answer_is_not_done_twice(
    world, banks
):
    from agentsquad.kernel.registry import Plugin
    from agentsquad.runtime.engine.contract import workflow
    from agentsquad.runtime.transactions.contract import Participants
    from agentsquad.runtime.transactions.plugin import plugin
    from agentsquad.testing import TestSquad

    told = asyncio.Event()

    @workflow("transfer")
    async def transfer(ctx: Any, value: int) -> Any:
        """Move money."""
        parts = [
            {"database": "postgresql", "statements": [msgspec.to_builtins(move(-value))]},
            {"database": "mariadb", "statements": [msgspec.to_builtins(move(value))]},
        ]
        return await ctx.call("transactions.run", {"parts": parts})

    class Hanging(Dying):
        def __getattr__(self, verb: str) -> Any:
            async def hang(gid: str) -> None:
                told.set()
                await asyncio.Event().wait()

            return hang if verb == "commit" else getattr(self._inner, verb)

    squad = TestSquad(plugin, Plugin(name="mine", workflows=(transfer,)))
    squad.world.ports.put(Participants, world.two)
    real = world.two.made["mariadb"]
    world.two.made["mariadb"] = Hanging(real, "", "")
    run = await squad.engine.start("transfer", 30)
    await told.wait()
    await squad.engine.close()
    world.two.made["mariadb"] = real
    squad.engine = squad._engine()
    squad.world.ports.put(Participants, world.two)
    await squad.engine.recover()
    outcome = await squad.engine.wait(run)
    assert outcome.status == "completed" and outcome.output["pending"] == []
    assert held(banks) == [70, 130]
    assert "effect.ambiguous" not in await squad.events(run)
