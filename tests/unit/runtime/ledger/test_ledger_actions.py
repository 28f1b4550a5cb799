"""The ledger's actions: what they show, count, find, erase and rebuild."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import IntegrityError, InvalidError, MissingError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger import actions
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger, plugin
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy

_KIT = Path(__file__).parents[3] / "conformance" / "log_formats.py"
if "log_formats" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("log_formats", _KIT)
    assert _spec and _spec.loader
    sys.modules["log_formats"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["log_formats"])
formats: Any = sys.modules["log_formats"]


class Room:
    """The part of a context these actions use."""

    def __init__(self, ledger: Ledger) -> None:
        self.actor = Actor("person", "ada")
        self._ledger = ledger
        self.told: list[tuple[str, int | None, int | None]] = []

    def port(self, role: type) -> Any:
        assert role is Ledger
        return self._ledger

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        self.told.append((text, done, total))


@pytest.fixture(params=["memory", "sqlite"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/ledger.db"
    opened = open_ledger(url, ManualClock(), SeededEntropy())
    for number in range(30):
        stream = ("run/a", "run/a/1", "run/ab", "other")[number % 4]
        kind = "run.started" if number < 4 else "step.completed"
        body = {"n": number, "workflow": "w"}
        await opened.store.append([NewEvent(stream=stream, type=kind, payload=body)])
    yield opened
    opened.close()


async def numbers(ledger: Ledger, **asked: Any) -> list[int]:
    found = await actions.show.fn(Room(ledger), actions.ShowInput(**asked))
    assert found.size == 30
    return [event.payload["n"] for event in found.items]


async def test_show_gives_the_newest_or_those_after(ledger: Ledger) -> None:
    assert await numbers(ledger, limit=3) == [27, 28, 29]
    assert await numbers(ledger, after=0, limit=3) == [0, 1, 2]
    assert await numbers(ledger, after=28) == [28, 29]
    assert await numbers(ledger, limit=0) == await numbers(ledger, after=30) == []
    assert await numbers(ledger, type="run.started") == [0, 1, 2, 3]
    assert await numbers(ledger, type="run.started", limit=2) == [2, 3]
    assert await numbers(ledger, type="run.started", after=1, limit=2) == [1, 2]
    assert await numbers(ledger, type="no.such") == []


async def test_show_gives_one_event_by_its_number(ledger: Ledger) -> None:
    assert await numbers(ledger, seq=1) == [0]
    assert await numbers(ledger, seq=30) == [29]
    for seq in (-1, 0, 31):
        with pytest.raises(MissingError, match=f"no event {seq}"):
            await numbers(ledger, seq=seq)
    for other in ({"run": "a"}, {"stream": "other"}, {"type": "run.started"}, {"after": 3}):
        with pytest.raises(InvalidError):
            await numbers(ledger, seq=1, **other)


async def test_show_of_a_run_includes_its_children_and_no_namesake(ledger: Ledger) -> None:
    run = [n for n in range(30) if n % 4 in (0, 1)]
    assert await numbers(ledger, run="a") == run
    assert await numbers(ledger, run="a", limit=3) == run[-3:]
    assert await numbers(ledger, run="a", after=10, limit=3) == [n for n in run if n >= 10][:3]
    assert await numbers(ledger, run="a", type="run.started") == [0, 1]
    assert await numbers(ledger, stream="other") == [n for n in range(30) if n % 4 == 3]
    with pytest.raises(MissingError):
        await numbers(ledger, run="b")
    with pytest.raises(InvalidError):
        await numbers(ledger, limit=-1)


async def test_show_takes_the_beginning_of_a_run_s_id(ledger: Ledger) -> None:
    for stream in ("run/kooa4lnr33x", "run/kooa4lnr33x/case-1", "run/kooq"):
        await ledger.store.append([NewEvent(stream=stream, type="run.started", payload={})])

    async def streams(run: str) -> list[str]:
        asked = actions.ShowInput(run=run)
        return [event.stream for event in (await actions.show.fn(Room(ledger), asked)).items]

    assert await streams("kooa4") == ["run/kooa4lnr33x", "run/kooa4lnr33x/case-1"]
    assert await streams("kooa/ca") == ["run/kooa4lnr33x/case-1"]
    with pytest.raises(InvalidError, match="beginning of 2 runs") as caught:
        await streams("koo")
    assert "kooq" in str(caught.value.hint)
    for nothing in ("zz", "kooa/zz", "", "kooa/"):
        with pytest.raises((MissingError, InvalidError)):
            await streams(nothing)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("run.startd", "did you mean 'run.started'?"),
        ("Run.Started", "did you mean 'run.started'?"),
        ("step.compelted", "did you mean 'step.completed'?"),
        ("started", "one of: run.started"),
        ("step", "one of: step.completed"),
        ("everything", "known: run.started, step.completed"),
    ],
)
async def test_show_says_which_type_was_meant(ledger: Ledger, typed: str, meant: str) -> None:
    with pytest.raises(InvalidError) as caught:
        await numbers(ledger, type=typed)
    assert (caught.value.code, caught.value.hint) == ("event.type", meant)
    with pytest.raises(InvalidError):
        await numbers(ledger, type=typed, run="a")


async def test_a_type_that_was_never_written_is_no_slip(ledger: Ledger) -> None:
    assert await numbers(ledger, type="run.failed") == []


async def test_stats_count_what_is_there(ledger: Ledger) -> None:
    found = await actions.stats.fn(Room(ledger), actions.StatsInput())
    assert (found.events, found.streams) == (30, 4)
    assert found.types == {"run.started": 4, "step.completed": 26}
    assert found.bytes > 30 * 300 and found.bytes_per_event == round(found.bytes / 30, 1)
    assert found.root == "sha256:" + (await ledger.store.head()).root.hex()


async def test_a_sound_ledger_verifies_and_tells_how_far_it_is(ledger: Ledger) -> None:
    reference = await ledger.blobs.put(b"attachment")
    await ledger.store.append(
        [
            NewEvent(
                stream="v",
                type="x.y",
                payload={"who": "Ada", "file": reference},
                personal={"/who": "person:1"},
            )
        ]
    )
    await ledger.store.append([NewEvent(stream="many", type="x.y", payload={})] * 3000)
    room = Room(ledger)
    found = await actions.verify.fn(room, actions.VerifyInput())
    assert found.valid and found.findings == []
    assert (found.events, found.streams, found.tiles, found.blobs) == (3031, 6, 3031 // 256, 1)
    assert [done for _, done, _ in room.told] == [2000, 3031]
    assert found.root == "sha256:" + (await ledger.store.head()).root.hex()


async def test_verify_names_a_missing_blob_and_a_lost_key(ledger: Ledger) -> None:
    reference = await ledger.blobs.put(b"attachment")
    await ledger.store.append([NewEvent(stream="v", type="x.y", payload={"file": reference})])
    person = NewEvent(stream="v", type="x.y", payload={"who": "Ada"}, personal={"/who": "person:1"})
    await ledger.store.append([person])
    await ledger.blobs.delete(reference["$blob"])
    ledger.keyring.destroy("person:1")
    with pytest.raises(IntegrityError) as caught:
        await actions.verify.fn(Room(ledger), actions.VerifyInput())
    assert caught.value.code == "ledger.invalid"
    assert [finding["seq"] for finding in caught.value.details["findings"]] == [31, 32]


async def test_erasing_by_name_removes_the_blobs_that_hold_it_and_the_log_still_verifies(
    ledger: Ledger,
) -> None:
    subject = {"/name": "person:x1"}
    with_name = await ledger.blobs.put(b"PER*BD*ADA LOVELACE~")
    without = await ledger.blobs.put(b"PER*BD*GRACE HOPPER~")
    await ledger.store.append(
        [
            NewEvent(
                stream="subject/person:x1",
                type="subject.named",
                payload={"name": "ADA LOVELACE"},
                personal=subject,
            ),
            NewEvent(stream="v", type="x.y", payload={"file": with_name, "other": without}),
        ]
    )
    asked = actions.EraseInput(subject="ADA LOVELACE", reason="asked")
    done = await actions.erase.fn(Room(ledger), asked)
    assert (done.subject, done.keys, done.blobs) == ("person:x1", 1, 1)
    assert await ledger.blobs.digests() == [without["$blob"]]
    await actions.verify.fn(Room(ledger), actions.VerifyInput())


async def test_erase_destroys_the_key_says_so_and_is_idempotent(ledger: Ledger) -> None:
    person = NewEvent(stream="v", type="x.y", payload={"who": "Ada"}, personal={"/who": "person:1"})
    await ledger.store.append([person])
    head = await ledger.store.head()
    asked = actions.EraseInput(subject="person:1", reason="asked to be forgotten")
    first = await actions.erase.fn(Room(ledger), asked)
    assert (first.keys, first.event) == (1, 32)
    again = await actions.erase.fn(Room(ledger), asked)
    assert (again.keys, again.event) == (0, 32)
    [said] = await ledger.store.read_stream("subject/person:1")
    assert said.type == "subject.erased" and said.actor == "person:ada"
    assert said.payload == {
        "subject": "person:1",
        "keys": 1,
        "reason": "asked to be forgotten",
        "blobs": [],
    }
    [gone] = await ledger.store.read_stream("v")
    assert list(gone.payload["who"]) == ["$erased"]
    assert (await ledger.store.head()).size == head.size + 1
    found = await actions.verify.fn(Room(ledger), actions.VerifyInput())
    assert found.valid
    await ledger.store.append([person])
    assert (await actions.verify.fn(Room(ledger), actions.VerifyInput())).valid
    assert (await actions.erase.fn(Room(ledger), asked)).keys == 1
    # A crash after the key was destroyed and before it was said is made good.
    await ledger.store.append([person])
    ledger.keyring.destroy("person:1")
    with pytest.raises(IntegrityError):
        await actions.verify.fn(Room(ledger), actions.VerifyInput())
    made_good = await actions.erase.fn(Room(ledger), asked)
    assert (made_good.keys, made_good.event) == (0, await ledger.store.size())
    assert (await actions.verify.fn(Room(ledger), actions.VerifyInput())).valid
    with pytest.raises(InvalidError):
        await actions.erase.fn(Room(ledger), actions.EraseInput(subject="p", reason=" "))


async def test_erasing_an_unknown_subject_is_refused_unless_the_key_was_lost(
    ledger: Ledger,
) -> None:
    person = NewEvent(
        stream="v", type="x.y", payload={"who": "Ada"}, personal={"/who": "person:4711"}
    )
    await ledger.store.append([person])
    asked = actions.EraseInput(subject="person:4712", reason="a typing mistake")
    with pytest.raises(MissingError) as caught:
        await actions.erase.fn(Room(ledger), asked)
    assert caught.value.hint == "did you mean 'person:4711'?"
    assert await ledger.store.size() == 31
    asked.lost = True
    assert (await actions.erase.fn(Room(ledger), asked)).keys == 0
    assert (await actions.verify.fn(Room(ledger), actions.VerifyInput())).valid


async def test_rebuild_and_check_agree_and_an_unknown_reading_is_missing(ledger: Ledger) -> None:
    rebuilt = await actions.rebuild.fn(Room(ledger), actions.RebuildInput())
    checked = await actions.rebuild.fn(Room(ledger), actions.RebuildInput(check=True))
    assert rebuilt.tables == checked.tables and rebuilt.events == checked.events == 30
    assert (rebuilt.verdict, checked.verdict) == ("rebuilt", "identical")
    with pytest.raises(MissingError) as caught:
        await actions.rebuild.fn(Room(ledger), actions.RebuildInput(names=("rums",)))
    assert caught.value.hint == "known: runs, streams"


EDITS = {
    "a stream taken out": ("DELETE FROM stream WHERE name = 'other'", 28),
    "a chapter taken out": ("DELETE FROM chapter", 430),
    "a tile": ("UPDATE tile SET hashes = zeroblob(8192)", 1),
    "a root": ("UPDATE head SET root = zeroblob(32)", None),
    "a chunk taken out": ("DELETE FROM chunk WHERE first = 7", 7),
}
# Edits of a log that a release before wrote, one event a row.
SINGLE = {
    "a payload": ("UPDATE event SET payload = CAST('{}' AS BLOB) WHERE seq = 5", 5),
    "an event taken out": ("DELETE FROM event WHERE seq = 7", 7),
    "a type": ("UPDATE event SET type = 1 WHERE seq = 9", 9),
    "a link": ("UPDATE event SET back = 1 WHERE seq = 9", 9),
    "the index of types": ("UPDATE event SET type = 2 WHERE seq = 1", 1),
}
CHUNKS = {
    "a payload": (5, {"payload": b"{}"}),
    "a payload among others": (40, {"payload": b"[]"}),
    "a type": (9, {"type": "run.started"}),
    "a link": (9, {"back": 1}),
    "the index of types": (1, {"type": "x.y"}),
}


async def _made(folder: Path) -> Path:
    ledger = open_ledger(f"sqlite:///{folder}/ledger.db", ManualClock(), SeededEntropy())
    for number in range(30):
        stream = ("run/a", "run/a/1", "run/ab", "other")[number % 4]
        kind = "run.started" if number < 4 else "step.completed"
        await ledger.store.append([NewEvent(stream=stream, type=kind, payload={"n": number})])
    await ledger.store.append([NewEvent(stream="long", type="x.y", payload={})] * 400)
    ledger.close()
    return folder / "ledger.db"


async def _findings(path: Path) -> list[int | None]:
    ledger = open_ledger(f"sqlite:///{path}", ManualClock(), SeededEntropy())
    try:
        with pytest.raises(IntegrityError) as caught:
            await actions.verify.fn(Room(ledger), actions.VerifyInput())
    finally:
        ledger.close()
    return [finding["seq"] for finding in caught.value.details["findings"]]


async def test_verify_says_that_nothing_is_wrong_in_either_format(tmp_path: Path) -> None:
    path = await _made(tmp_path)
    for change in (lambda path: None, formats.to_single):
        change(path)
        ledger = open_ledger(f"sqlite:///{path}", ManualClock(), SeededEntropy())
        assert (await actions.verify.fn(Room(ledger), actions.VerifyInput())).valid
        ledger.close()


@pytest.mark.parametrize("what", EDITS)
async def test_verify_names_the_place_of_every_edit(what: str, tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{await _made(tmp_path)}", ManualClock(), SeededEntropy())
    await ledger.store.streams()  # what it counts when it is first asked was right then
    statement, place = EDITS[what]
    connection = apsw.Connection(str(tmp_path / "ledger.db"))
    connection.execute(statement)
    connection.close()
    with pytest.raises(IntegrityError) as caught:
        await actions.verify.fn(Room(ledger), actions.VerifyInput())
    assert place in [finding["seq"] for finding in caught.value.details["findings"]]
    ledger.close()


@pytest.mark.parametrize("what", SINGLE)
async def test_verify_names_the_place_of_every_edit_of_the_format_before(
    what: str, tmp_path: Path
) -> None:
    path = await _made(tmp_path)
    formats.to_single(path)
    statement, place = SINGLE[what]
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()
    assert place in await _findings(path)


@pytest.mark.parametrize("what", CHUNKS)
async def test_verify_names_the_place_of_every_edit_in_a_chunk(what: str, tmp_path: Path) -> None:
    path = await _made(tmp_path)
    place, changes = CHUNKS[what]
    connection = apsw.Connection(str(path))
    formats.edit(connection, place, formats.replaced(place, **changes))
    connection.close()
    assert place in await _findings(path)


def test_the_plugin_offers_its_actions_on_the_command_line() -> None:
    paths = {action.name: action.spec.cli for action in plugin.actions}
    assert paths == {
        "log.show": ("log", "show"),
        "log.stats": ("log", "stats"),
        "log.verify": ("log", "verify"),
        "log.erase": ("erase",),
        "readings.rebuild": ("rebuild",),
    }
