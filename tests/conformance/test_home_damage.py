"""No damaged byte of a home is ever served as if it were right.

A small home as an installation leaves it: a run, its readings, a person's
sealed values, blobs, the signing key and the head it signed, the witness, the
lock, payments and documents. Files are flipped bit by bit and cut at every
place; then everything that can be asked of the home is asked. What comes must
be what was there, or a typed error; never anything else.

Small files: every bit of every byte, every cut. Databases: the headers of
their pages and a dense stride chosen by a seed. `SQUAD_DAMAGE=all` sweeps every
bit of every file instead; `SQUAD_DAMAGE=N` makes the stride N times as dense.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.engine.adapters.lease import FileLease
from agentsquad.runtime.ledger.adapters.files import FileBlobStore
from agentsquad.runtime.ledger.checkpoint import Checkpoint
from agentsquad.runtime.ledger.note import parse
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.trust.attestation.adapters.ed25519 import HomeNotary
from agentsquad.trust.attestation.heads import LogSigner, record_head, record_links, sign_head

HOW = os.environ.get("SQUAD_DAMAGE", "1")
ALL = HOW == "all"
DENSE = 1 if ALL else int(HOW)
SMALL = 1200  # bytes: swept whole, bit by bit
PAGE = 4096
FLIPS = 40 * DENSE  # of a large file, besides its page headers
CUTS = 12 * DENSE
HEADER = 24  # bytes of a page that say what is on it


def opened(home: Path) -> Any:
    return open_ledger(f"sqlite:///{home}/log.db", ManualClock(), SeededEntropy("again"))


async def make(home: Path) -> Any:
    """Fill a home and leave its ledger open."""
    ledger = opened(home)
    reference = await ledger.blobs.put(b"an invoice " * 40, "text/plain")
    await ledger.store.append(
        [
            NewEvent(
                stream="vendor/1",
                type="vendor.changed",
                payload={"contact": "ada@example.org", "file": reference},
                personal={"/contact": "person:1"},
            )
        ]
    )
    for number in range(3):
        stream = f"run/k{number}"
        started = {"workflow": "order", "definition": "d", "input": {"n": number}, "parent": None}
        steps = [
            NewEvent(stream=stream, type="run.started", payload=started),
            NewEvent(
                stream=stream,
                type="step.completed",
                payload={
                    "position": "1", "name": "look", "action": "net.look", "output": {"n": 7},
                    "usage": [{"cost_micros": 1200 * number, "currency": "USD"}],
                },
            ),
            NewEvent(stream=stream, type="run.completed", payload={"output": {"n": number}}),
        ]  # fmt: skip
        await ledger.store.append(steps)
    await ledger.readings.rows("runs")
    notary = HomeNotary(home / "keys")
    head = await sign_head(ledger.store, notary)
    await record_head(ledger.store, head, actor="person:ada")
    notary.rotate(head.checkpoint.size)
    await record_links(ledger.store, notary, actor="person:ada", reason="yearly")
    head = await sign_head(ledger.store, notary)
    await record_head(ledger.store, head, actor="person:ada")
    lease = FileLease(home / "engine.lock")
    lease.acquire()
    lease.release()
    return ledger


async def everything(home: Path) -> dict[str, Any]:
    """Ask a home everything; raises the first typed error."""
    ledger = opened(home)
    try:
        store = ledger.store
        events = await store.read(limit=1000)
        blobs: BlobStore = ledger.blobs
        streams = await store.streams()
        told = {
            "events": events,
            "streams": streams,
            "by stream": [await store.read_stream(name) for name, _ in streams],
            "records": await store.read_records(limit=1000),
            "head": await store.head(),
            "blobs": [[d, await blobs.get(d)] for d in await blobs.digests()],
            "file": await blobs.get(events[0].payload["file"]["$blob"]),
            "subjects": ledger.keyring.subjects(),
        }
        signer = LogSigner(HomeNotary(home / "keys"))
        told["key"] = signer.key.encode()
        recorded = next(e for e in events if e.type == "log.checkpointed")
        told["signed"] = Checkpoint.of(signer.open(recorded.payload["checkpoint"].encode()))
        return told
    finally:
        ledger.close()


async def readings(home: Path) -> Any:
    """Return the reading of runs as it lies there."""
    ledger = opened(home)
    try:
        return await ledger.readings.rows("runs")
    finally:
        ledger.close()


async def rebuilt(home: Path) -> Any:
    """Return the reading of runs, made anew from the log."""
    ledger = opened(home)
    try:
        await ledger.readings.rebuild()
        return await ledger.readings.rows("runs")
    finally:
        ledger.close()


async def log_is_whole(home: Path, homes: Homes) -> str:
    """Open the log and read it; for files that say nothing else."""
    try:
        ledger = opened(home)
    except SquadError as error:
        return error.code
    try:
        assert await ledger.store.read(limit=1000) == homes.truth["events"]
        assert await ledger.store.head() == homes.truth["head"]
        return "identical"
    except SquadError as error:
        return error.code
    finally:
        ledger.close()


async def blob_is_whole(home: Path, homes: Homes) -> str:
    blobs = FileBlobStore(str(home / "blobs"))
    try:
        listed = [[digest, await blobs.get(digest)] for digest in await blobs.digests()]
    except SquadError as error:
        return error.code
    assert listed == homes.truth["blobs"]
    return "identical"


async def keys_are_whole(home: Path, homes: Homes) -> str:
    """The key is the same or refused, and a head is signed only if the log
    extends the one signed before."""
    notary = HomeNotary(home / "keys")
    try:
        signer = LogSigner(notary)
        assert signer.key.encode() == homes.truth["key"]
        signer.open(homes.note)
        head = await sign_head(homes.ledger.store, notary)
        assert head.checkpoint == Checkpoint.of(parse(head.note))
        assert head.checkpoint.size == homes.truth["head"].size
        return "identical"
    except SquadError as error:
        return error.code


async def lock_works(home: Path, homes: Homes) -> str:
    lease = FileLease(home / "engine.lock")
    lease.acquire()
    assert lease.held
    lease.release()
    return "identical"


async def databases_hold(home: Path, homes: Homes, name: str) -> str:
    """Ask everything; return "identical" or the code of the first error."""
    codes = []
    try:
        found = await everything(home)
        assert found == homes.truth, "other data was served"
    except SquadError as error:
        codes.append(error.code)
    try:
        assert await readings(home) == homes.rows, "another reading was served"
    except SquadError as error:
        codes.append(error.code)
        if name.startswith("log.readings.db"):
            assert await rebuilt(home) == homes.rows, "the reading could not be rebuilt"
            codes.append("rebuilt")
    return codes[0] if codes else "identical"


class Homes:
    """The same home closed in order and as a killed process leaves it."""

    def __init__(self, base: Path) -> None:
        self.closed, self.killed, self.work = (base / n for n in ("closed", "killed", "work"))
        self.closed.mkdir()

        async def prepare() -> None:
            ledger = await make(self.closed)
            shutil.copytree(self.closed, self.killed)
            for shared in self.killed.glob("*-shm"):
                shared.unlink()
            ledger.close()
            shutil.copytree(self.closed, self.work)
            self.truth = await everything(self.work)
            events = self.truth["events"]
            recorded = next(e for e in events if e.type == "log.checkpointed")
            self.note = recorded.payload["checkpoint"].encode()
            self.rows = await readings(self.work)

        asyncio.run(prepare())
        other = base / "other"
        shutil.copytree(self.closed, other)
        self.ledger = opened(other)

    def copy(self, state: str) -> Path:
        """Return a fresh copy to damage."""
        shutil.rmtree(self.work)
        return Path(shutil.copytree(getattr(self, state), self.work))


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    memory = Path("/dev/shm")  # nothing here is about durability, so no disk is waited for
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as base:
        made = Homes(Path(base))
        yield made
        made.ledger.close()


def places(data: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Yield (byte, bit) of every flip."""
    if ALL or len(data) <= SMALL:
        yield from ((at, bit) for at in range(len(data)) for bit in range(8))
        return
    draw = random.Random(f"flips of {name}")
    for page in range(0, len(data), PAGE):
        for at in sorted(draw.sample(range(HEADER), min(HEADER, 2 * DENSE))):
            if page + at < len(data):
                yield page + at, draw.randrange(8)
    for _ in range(FLIPS):
        yield draw.randrange(len(data)), draw.randrange(8)


def cuts(data: bytes, name: str) -> list[int]:
    """Return where a file is cut."""
    if ALL or len(data) <= SMALL:
        return list(range(len(data)))
    draw = random.Random(f"cuts of {name}")
    pages = list(range(0, len(data), PAGE))
    # A page of which a few bytes are left may look sound, filled up with zeros.
    edges = [page + n for page in pages[1:] for n in range(1, 5)]
    chosen = draw.sample(pages, min(len(pages), CUTS)) + draw.sample(range(len(data)), CUTS)
    return sorted({*chosen, *draw.sample(edges, min(len(edges), 4 * CUTS))})


def files_of(home: Path) -> list[str]:
    return sorted(str(p.relative_to(home)) for p in home.rglob("*") if p.is_file())


KINDS = (
    "log.db", "log.db-wal", "log.db.head", "log.keys.db", "log.keys.db-wal", "log.readings.db",
    "log.readings.db-wal", "keys/log.key", "keys/log.keys", "keys/log.head", "engine.lock",
)  # fmt: skip


def test_the_home_holds_every_kind_of_file(homes: Homes):
    found = {*files_of(homes.closed), *files_of(homes.killed)}
    assert set(KINDS) <= found, found
    assert any(name.startswith("blobs/") for name in found)


async def judged(homes: Homes, name: str) -> str:
    """Return what came of damage to one file of the copy at work."""
    work = homes.work
    if name.startswith("blobs"):
        return await blob_is_whole(work, homes)
    if name.startswith("keys"):
        return await keys_are_whole(work, homes)
    if name == "engine.lock":
        return await lock_works(work, homes)
    if name == "log.db.head":
        return await log_is_whole(work, homes)
    return await databases_hold(work, homes, name)


async def swept(homes: Homes, state: str, name: str) -> tuple[Counter[str], Counter[str]]:
    """Flip and cut one file in every chosen way."""
    data = (getattr(homes, state) / name).read_bytes()
    flips: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    alone = not name.startswith("log.")  # nothing else changes when it is read
    homes.copy(state)

    async def struck(damaged: bytes, said: str) -> str:
        if not alone:
            homes.copy(state)
        elif name.startswith("keys"):  # the head that is signed last is kept there
            for kept in (homes.closed / "keys").iterdir():
                shutil.copy(kept, homes.work / "keys")
        (homes.work / name).write_bytes(damaged)
        try:
            return await judged(homes, name)
        except Exception as error:
            raise AssertionError(f"{name} ({state}), {said}: {error!r}") from error

    for at, bit in places(data, name):
        damaged = bytearray(data)
        damaged[at] ^= 1 << bit
        flips[await struck(bytes(damaged), f"byte {at} bit {bit}")] += 1
    for at in cuts(data, name):
        lengths[await struck(data[:at], f"cut at {at}")] += 1
    return flips, lengths


@pytest.mark.slow
@pytest.mark.parametrize("state", ["closed", "killed"])
async def test_damage_to_any_file_is_found_or_harmless(homes: Homes, state: str):
    totals: dict[str, str] = {}
    for name in files_of(getattr(homes, state)):
        flips, lengths = await swept(homes, state, name)
        totals[name] = f"flips {dict(flips)}, cuts {dict(lengths)}"
        print(f"{state} {name}: {totals[name]}")
        if name == "keys/log.key" or name.startswith("blobs/"):
            assert set(flips) - {"identical"}, f"no damage to {name} was noticed"
