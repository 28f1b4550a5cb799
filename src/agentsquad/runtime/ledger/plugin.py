"""What the ledger offers: opening one by its address, and its actions."""

from __future__ import annotations

import os

from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.ledger.actions import erase, rebuild, show, stats, verify
from agentsquad.runtime.ledger.contract import Ledger, UrlInvalidError
from agentsquad.runtime.ledger.disk import Disk
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.runtime.ledger.projection import Readings, ReadingStore
from agentsquad.runtime.ledger.standard import STANDARD

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


def open_ledger(
    url: str,
    clock: Clock,
    entropy: Entropy,
    disk: Disk | None = None,
    *,
    home: str | None = None,
    keys: str | None = None,
) -> Ledger:
    """Open the ledger at an address: `memory:`, `sqlite:///path/ledger.db` or
    `postgresql://host/database`, creating it if new.

    Beside `ledger.db` lie `ledger.keys.db` (subjects' keys),
    `ledger.readings.db` (deletable), `ledger.db.head` (the witness) and
    `blobs/`. They lie on the machine's own disk unless another is given. Of a
    ledger in PostgreSQL only readings and witness lie in the folder `home`, if
    one is given; `keys` is the address of another database for subjects' keys.
    """
    if url == "memory:":
        return _open_memory(url, clock, entropy)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return _open_sqlite(url, clock, entropy, disk)
    if url.startswith(_POSTGRES):
        return _open_postgres(url, clock, entropy, home=home, keys=keys)
    raise UrlInvalidError(
        f"{url.partition('@')[0]!r} is not the address of a ledger",
        hint="write sqlite:///folder/ledger.db (four slashes for an absolute path),"
        " postgresql://user@host/database or memory:",
    )


def _open_memory(url: str, clock: Clock, entropy: Entropy) -> Ledger:
    from agentsquad.runtime.ledger.adapters.memory import (
        MemoryBlobStore,
        MemoryKeyRing,
        MemoryVolume,
    )

    keyring = MemoryKeyRing(entropy)
    store = EventLog(MemoryVolume(), clock, entropy, keyring)
    return Ledger(url, store, MemoryBlobStore(), keyring, _readings(store, ":memory:", None))


def _open_sqlite(url: str, clock: Clock, entropy: Entropy, disk: Disk | None) -> Ledger:
    from agentsquad.runtime.ledger.adapters.database import make_folder
    from agentsquad.runtime.ledger.adapters.disk import SYSTEM
    from agentsquad.runtime.ledger.adapters.files import FileBlobStore
    from agentsquad.runtime.ledger.adapters.keyring import SqliteKeyRing
    from agentsquad.runtime.ledger.adapters.sqlite import SqliteVolume

    disk = disk or SYSTEM
    path = os.path.abspath(url[len(_SQLITE) :])
    folder, stem = os.path.dirname(path), os.path.splitext(path)[0]
    make_folder(path, disk)
    keyring = SqliteKeyRing(stem + ".keys.db", entropy, disk)
    volume = None
    try:
        volume = SqliteVolume(path, disk)
        store = EventLog(volume, clock, entropy, keyring)
    except BaseException:
        if volume is not None:
            volume.close()
        keyring.close()
        raise
    files = {"log": path, "keys": stem + ".keys.db", "readings": stem + ".readings.db"}
    blobs = FileBlobStore(os.path.join(folder, "blobs"), disk)
    return Ledger(url, store, blobs, keyring, _readings(store, files["readings"], disk), files)


def _open_postgres(
    url: str, clock: Clock, entropy: Entropy, *, home: str | None, keys: str | None
) -> Ledger:
    from agentsquad.runtime.ledger.adapters.database import make_folder
    from agentsquad.runtime.ledger.adapters.disk import SYSTEM
    from agentsquad.runtime.ledger.adapters.postgres.target import parse

    target = parse(url)  # says what to install before anything needs it
    from agentsquad.runtime.ledger.adapters.postgres.blobs import PostgresBlobStore
    from agentsquad.runtime.ledger.adapters.postgres.keyring import PostgresKeyRing
    from agentsquad.runtime.ledger.adapters.postgres.volume import PostgresVolume
    from agentsquad.runtime.ledger.adapters.postgres.wire import Wire
    from agentsquad.runtime.ledger.adapters.witness import Witness

    witness, readings = None, ":memory:"
    if home is not None:
        stem = os.path.join(os.path.abspath(home), f"postgres-{target.mark}")
        make_folder(stem, SYSTEM)
        witness, readings = Witness(stem + ".head"), stem + ".readings.db"
    volume = PostgresVolume(Wire(target), witness)
    keyring: PostgresKeyRing | None = None
    try:
        blobs = PostgresBlobStore(Wire(target))
        volume.others.append(blobs)
        keyring = PostgresKeyRing(Wire(parse(keys) if keys else target), entropy)
        store = EventLog(volume, clock, entropy, keyring)
    except BaseException:
        volume.close()
        if keyring is not None:
            keyring.close()
        raise
    files = {} if home is None else {"readings": readings}
    found = _readings(store, readings, SYSTEM if home else None)
    return Ledger(target.shown, store, blobs, keyring, found, files, volume.fence)


def _readings(store: EventLog, path: str, disk: Disk | None) -> Readings:
    def opened() -> ReadingStore:
        from agentsquad.runtime.ledger.adapters.readings import SqliteReadingStore

        return SqliteReadingStore(path) if disk is None else SqliteReadingStore(path, disk)

    return Readings(store, opened, STANDARD)


plugin = Plugin(name="ledger", actions=(show, stats, verify, erase, rebuild))
