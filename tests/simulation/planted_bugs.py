"""Bugs to plant: each takes one safeguard out of the real code for a while.

A simulator that does not find them proves nothing about those nobody planted.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.control import messages
from agentsquad.runtime.engine import approval, shell
from agentsquad.runtime.engine.contract import HaltedError
from agentsquad.runtime.engine.door import Step, World
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.engine.interceptors import STANDARD, admit
from agentsquad.runtime.engine.parking import Parking
from agentsquad.runtime.engine.saga import Saga
from agentsquad.runtime.engine.timers import Timers
from agentsquad.runtime.engine.versions import Versions
from agentsquad.runtime.ledger import chunk
from agentsquad.runtime.ledger.adapters import database, sqlite
from agentsquad.runtime.ledger.adapters.files import FileBlobStore
from agentsquad.runtime.ledger.adapters.sqlite import SqliteVolume
from agentsquad.runtime.ledger.contract import LostError, PoisonedError
from agentsquad.runtime.ledger.header import parse
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.runtime.ledger.reading import Reader
from agentsquad.runtime.resilience.budget import BudgetBook
from agentsquad.runtime.transactions.contract import DECIDED
from agentsquad.runtime.transactions.coordinator import Coordinator

Plant = Callable[[pytest.MonkeyPatch], None]
_connect = database.connect
# By its name: the package offers the function `effect` under the same one.
effects = importlib.import_module("agentsquad.runtime.engine.interceptors.effect")


def answer_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """The database never waits for the disk."""

    def connect(path: str, **options: Any) -> Any:
        connection = _connect(path, **options)
        connection.pragma("synchronous", "off")
        return connection

    patch.setattr(sqlite.database, "connect", connect)


def name_of_a_blob_not_synced(patch: pytest.MonkeyPatch) -> None:
    """A blob's content is durable, its name is not."""

    def write(self: Any, path: str, data: bytes) -> None:
        folder = path.rpartition("/")[0]
        self._disk.make_folder(folder)
        temporary = self._disk.aside(path)
        self._disk.write_new(temporary, data)
        self._disk.replace(temporary, path)

    patch.setattr(FileBlobStore, "_write", write)


def witness_not_consulted(patch: pytest.MonkeyPatch) -> None:
    """The log believes its own files when they say it is shorter."""
    patch.setattr(EventLog, "_consult", lambda self, noted: None)


def checksums_ignored(patch: pytest.MonkeyPatch) -> None:
    """Nothing is compared with what it should be: no page, no chunk, no header,
    not the root of the tree. Any one of these alone refuses most damage."""

    def connect(path: str, **options: Any) -> Any:
        connection = _connect(path, **options)
        connection.pragma("checksum_verification", 0)
        return connection

    class Unsummed:
        """zlib without the sum at its end."""

        def __getattr__(self, name: str) -> Any:
            return getattr(zlib, name)

        def decompress(self, data: bytes) -> bytes:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[2:])

    def trusting(self: Any, rows: Any) -> Any:
        return [parse(row.header, row.seq) for row in rows]

    def adopted(self: Any, tree: Any, head: Any) -> None:
        self.follow(tree)

    def long_enough(self: Any, noted: Any) -> None:
        if noted is not None and noted.size > self._tree.size:
            raise LostError("shorter than it was")

    patch.setattr(sqlite.database, "connect", connect)
    patch.setattr(chunk, "zlib", Unsummed())
    patch.setattr(Reader, "headers", trusting)
    patch.setattr(Reader, "adopt", adopted)
    patch.setattr(EventLog, "_consult", long_enough)


def indexes_not_counted(patch: pytest.MonkeyPatch) -> None:
    """An outdated page of an index or of the streams' ends is believed."""
    patch.setattr(SqliteVolume, "_trust", lambda self: None)


def poisoned_log_goes_on(patch: pytest.MonkeyPatch) -> None:
    """After a failed fsync the log calls the append done."""
    commit = SqliteVolume.commit

    def careless(self: Any, batch: Any) -> None:
        try:
            commit(self, batch)
        except PoisonedError:
            self.rollback()

    patch.setattr(SqliteVolume, "commit", careless)


def timer_tried_at_once(patch: pytest.MonkeyPatch) -> None:
    """A due timer does not wait for the disk, and comes back when it fails."""

    async def fire(self: Parking, run: str, position: str) -> None:
        drive = await self._router.load(run)
        if drive is not None and position in drive.instance.commands:
            await self._router.append(drive, ("timer.fired", {"position": position}))

    patch.setattr(Parking, "fire", fire)


def plan_skipped(patch: pytest.MonkeyPatch) -> None:
    """An effect leaves without having been planned in the log."""
    note = effects._note

    async def forgetful(world: World, step: Step, kind: str, body: dict[str, Any]) -> None:
        if kind != "effect.planned":
            await note(world, step, kind, body)

    patch.setattr(effects, "_note", forgetful)


def idempotency_key_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Each look at the key of a step after a resume gives another."""
    count = [0]

    def fresh(self: Step) -> str:
        if self.key is None:
            count[0] += 1
            self.key = f"{count[0]:032x}"
        return self.key

    patch.setattr(Step, "idempotency_key", property(fresh))


def ambiguous_effect_repeated(patch: pytest.MonkeyPatch) -> None:
    """An unknown outcome is taken for "it never arrived"."""

    async def hopeful(world: World, step: Step) -> None:
        return None

    patch.setattr(effects, "reconcile", hopeful)


def timer_lost_on_recovery(patch: pytest.MonkeyPatch) -> None:
    """Only a fresh timer is set, not one that the log tells of."""
    add = Timers.add

    def short(self: Any, due_ms: int, run: str, position: str) -> None:
        if due_ms > self._clock.now_ms():
            add(self, due_ms, run, position)

    async def unread(self: Any, source: Any) -> None:
        return None

    patch.setattr(Timers, "add", short)
    patch.setattr(Timers, "read", unread)


def approval_of_something_else(patch: pytest.MonkeyPatch) -> None:
    """The arguments are not part of what an approval is bound to."""
    patch.setattr(
        approval, "BOUND", tuple(name for name in approval.BOUND if name != "input_digest")
    )


def approval_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    """What policy demands is not looked at."""

    async def nothing(world: World, step: Step, decision: Any) -> None:
        return None

    patch.setattr(approval, "check_all", nothing)


def kill_switch_ignored(patch: pytest.MonkeyPatch) -> None:
    """The switch is never on."""

    async def never(self: Gate) -> bool:
        return False

    patch.setattr(Gate, "halted", never)


def halt_calls_a_sent_effect_failed(patch: pytest.MonkeyPatch) -> None:
    """The kill switch refuses before what has left is found out about."""

    async def early(world: World, step: Step, proceed: Any) -> Any:
        if step.action.spec.effect.outward and await world.ports.get(Gate).halted():
            raise HaltedError("halted")
        return await admit(world, step, proceed)

    swapped = tuple(early if one is admit else one for one in STANDARD)
    init = shell.EmbeddedEngine.__init__
    patch.setattr(shell.EmbeddedEngine, "__init__", lambda self, world: init(self, world, swapped))


def saga_not_undone(patch: pytest.MonkeyPatch) -> None:
    """A failed run forgets one of the things it did."""
    undo = Saga.undo

    async def lazy(self: Saga) -> Any:
        self.entries[:] = self.entries[1:]
        return await undo(self)

    patch.setattr(Saga, "undo", lazy)


def budget_not_reserved(patch: pytest.MonkeyPatch) -> None:
    """Reservations are granted whatever the limit."""
    decide = BudgetBook.decide_reserve

    def generous(self: BudgetBook, request: Any) -> list[NewEvent]:
        kept = {scope: account.limits for scope, account in self._accounts.items()}
        for account in self._accounts.values():
            account.limits = {name: _raised(limit) for name, limit in account.limits.items()}
        try:
            return decide(self, request)
        finally:
            for scope, limits in kept.items():
                self._accounts[scope].limits = limits

    patch.setattr(BudgetBook, "decide_reserve", generous)


def _raised(limit: Any) -> Any:
    return msgspec.structs.replace(limit, micros=10**15)


def databases_told_before_the_decision(patch: pytest.MonkeyPatch) -> None:
    """Each database commits when all have promised, and only then is the
    decision written."""
    write = Coordinator._write

    async def late(
        self: Any, key: str, kind: str, body: dict[str, Any], actor: str, *, version: int
    ) -> None:
        if kind == DECIDED and body["commit"]:
            standing = await self.standing(key)
            for branch in standing.branches:
                await self._told(branch, commit=True)
        await write(self, key, kind, body, actor, version=version)

    patch.setattr(Coordinator, "_write", late)


def place_moved_before_the_runs(patch: pytest.MonkeyPatch) -> None:
    """A subscription is past a message before the run of it is there."""

    async def deliver(self: messages.Desk) -> list[Any]:
        started: list[Any] = []
        for one in await self.subscriptions():
            place = await self.place(one)
            found = await self._store.read(after=place.seq or 0, types=(messages.PUBLISHED,))
            if found and await self._move(one, {"seq": found[-1].seq}, place.version):
                await self._hand(one, found, started)
        return started

    patch.setattr(messages.Desk, "deliver", deliver)


def version_of_a_run_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Every run goes on under the newest version, fit or not."""

    async def newest(self: Versions, run: str, pin: Any) -> Any:
        return await self.newest(pin.workflow)

    patch.setattr(Versions, "pinned", newest)


# Where each is looked for, and within which seeds it must be found (a number:
# so many from the first).
PLANTED: dict[str, tuple[Plant, str, range]] = {
    plant.__name__: (plant, world, seeds if isinstance(seeds, range) else range(seeds))
    for plant, world, seeds in (
        (answer_before_fsync, "store", 20),
        (name_of_a_blob_not_synced, "store", 20),
        (witness_not_consulted, "store", 60),
        (checksums_ignored, "store", range(120, 160)),
        (indexes_not_counted, "store", range(40, 60)),
        (poisoned_log_goes_on, "store", 20),
        (timer_tried_at_once, "squad", range(170, 330)),
        (plan_skipped, "squad", 20),
        (idempotency_key_forgotten, "squad", 20),
        (ambiguous_effect_repeated, "squad", 20),
        (timer_lost_on_recovery, "squad", 160),
        (approval_of_something_else, "squad", 20),
        (approval_not_asked_for, "squad", 20),
        (kill_switch_ignored, "squad", 20),
        (halt_calls_a_sent_effect_failed, "squad", 160),
        (saga_not_undone, "squad", 120),
        (budget_not_reserved, "squad", 60),
        (databases_told_before_the_decision, "squad", 60),
        (place_moved_before_the_runs, "squad", 40),
        (version_of_a_run_forgotten, "squad", 40),
    )
}
