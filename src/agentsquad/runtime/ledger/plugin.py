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


def open_ledger(url: str, clock: Clock, entropy: Entropy, disk: Disk | None = None) -> Ledger:
    """Open the ledger at an address: `memory:` or `sqlite:///path/ledger.db`,
    creating it if new.

    Beside `ledger.db` lie `ledger.keys.db` (subjects' keys),
    `ledger.readings.db` (deletable), `ledger.db.head` (the witness) and
    `blobs/`. They lie on the machine's own disk unless another is given.
    """
    if url == "memory:":
        return _open_memory(url, clock, entropy)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return _open_sqlite(url, clock, entropy, disk)
    raise UrlInvalidError(
        f"{url!r} is not the address of a ledger",
        hint="write sqlite:///folder/ledger.db (four slashes for an absolute path) or memory:",
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


def _readings(store: EventLog, path: str, disk: Disk | None) -> Readings:
    def opened() -> ReadingStore:
        from agentsquad.runtime.ledger.adapters.readings import SqliteReadingStore

        return SqliteReadingStore(path) if disk is None else SqliteReadingStore(path, disk)

    return Readings(store, opened, STANDARD)


plugin = Plugin(name="ledger", actions=(show, stats, verify, erase, rebuild))
