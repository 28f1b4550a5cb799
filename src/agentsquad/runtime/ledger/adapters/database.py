"""Database: opening SQLite files the way the ledger needs them, and naming what
goes wrong.

Every file gets page checksums (SQLite's own checksum VFS), a write-ahead log
and a sync at each commit. The one place where errors of the library become
errors of the ledger.
"""

from __future__ import annotations

import os.path
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import apsw
import apsw.sqlite_extra

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.contract import (
    BusyError,
    DamagedError,
    FullError,
    PoisonedError,
    ReadFailedError,
)
from agentsquad.runtime.ledger.disk import Disk

CHECKSUM_BYTES = 8
BUSY_MS = 5_000
_HEADER_SIZE = 100
_MAGIC = b"SQLite format 3\0"
_RETRIES = 200
_RETRY_S = 0.01


def connect(path: str, *, application: int, disk: Disk = SYSTEM) -> apsw.Connection:
    """Open or create a checksummed database in WAL mode; `application` marks
    whose file it is.
    """
    _load_checksums()
    with translated(path):
        _refuse_foreign(path, application, disk)
        connection = apsw.Connection(path)
    try:
        with translated(path):
            # Not even when it is closed again because of a failure: see _renew.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.set_busy_timeout(BUSY_MS)
            fresh = not disk.size(path)
            if fresh:
                connection.reserve_bytes("main", CHECKSUM_BYTES)
            _write_ahead(connection)
            connection.pragma("synchronous", "full")
            known = connection.pragma("application_id")
            if connection.reserve_bytes("main", -1) != CHECKSUM_BYTES or known not in (
                application,
                0,
            ):
                raise _foreign(path)
            with suppress(apsw.BusyError):
                _renew(connection, path + "-wal", disk)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        return connection
    except BaseException:
        let_go(connection)
        raise


def let_go(connection: apsw.Connection) -> None:
    """Close a database whatever its disk says: all that was committed is
    there, in it or in its write-ahead log.
    """
    try:
        connection.close()
    except apsw.Error:
        with suppress(apsw.Error):
            connection.close(True)


def checkpoint(connection: apsw.Connection) -> None:
    """Move the write-ahead log into the database and empty it, unless others
    are using it.
    """
    with suppress(apsw.BusyError):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _renew(connection: apsw.Connection, path: str, disk: Disk) -> None:
    """Write the write-ahead log once more as it is, and sync it: whatever is
    about to be served becomes durable.

    After a sync that failed the system may hold pages of it for clean that
    never reached the disk. The next sync says yes; then a checkpoint gives the
    database what the log, after a power failure, has not, and the log puts the
    database back page by page.
    """
    if not disk.size(path):
        return
    connection.execute("BEGIN IMMEDIATE")  # nobody else writes to it meanwhile
    try:
        file = disk.open(path)
        try:
            file.write(disk.read(path), 0)
            file.sync()
        finally:
            file.close()
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise the ledger's errors for the library's while reading or opening."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise failed(error, path) from error


def failed(error: apsw.Error | OSError, path: str) -> SquadError:
    """Return what an error of the library or the system means while reading or
    opening."""
    if isinstance(error, OSError):
        return ReadFailedError(
            f"{path} cannot be opened: {error.strerror}",
            hint="look at the disk and permissions",
            private=str(error),
        )
    return read_error(error, path)


def expect(path: str, row: Sequence[object], *kinds: type) -> None:
    """Refuse a row whose values are not of these types: a page that lies in the
    place of another has right checksums and wrong columns.
    """
    for value, kind in zip(row, kinds, strict=True):
        if type(value) is not kind:
            raise DamagedError(
                f"{path} is damaged",
                hint="restore it from a backup",
                private=f"{type(value).__name__} where {kind.__name__} belongs",
            )


def make_folder(path: str, disk: Disk = SYSTEM) -> None:
    """Create the folder of a file, durably, readable only by its owner."""
    with translated(path):
        disk.make_folder(os.path.dirname(path), 0o700)


def read_error(error: apsw.Error, path: str) -> SquadError:
    """Return what a failed read means."""
    private = f"{type(error).__name__}: {error}"
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.SQLError)) or (
        getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
    ):
        # SQLError: the schema we wrote is not there any more.
        return DamagedError(f"{path} is damaged", hint="restore it from a backup", private=private)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return BusyError(
            hint="another process is writing or stopped while it wrote; look for it",
            retry_after_ms=1_000,
            private=private,
        )
    if isinstance(error, apsw.FullError):
        return FullError(hint="free some space, then try again", private=private)
    return ReadFailedError(
        f"{path} cannot be read: {error}", hint="look at the disk and permissions", private=private
    )


def write_error(error: apsw.Error, path: str) -> SquadError:
    """Return what a failed commit means: unless it surely left no trace, the
    log is poisoned.
    """
    if isinstance(error, (apsw.FullError, apsw.BusyError)):
        return read_error(error, path)
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return read_error(error, path)
    if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA:
        return read_error(error, path)
    return PoisonedError(
        f"writing {path} failed; whether it was written is unknown",
        hint="look at the disk, then open the ledger again",
        private=f"{type(error).__name__}: {error}",
    )


def _refuse_foreign(path: str, application: int, disk: Disk) -> None:
    """Look at the file's header before anything is opened, and so changed."""
    if not disk.size(path):
        return
    header = disk.read(path, _HEADER_SIZE)
    known = int.from_bytes(header[68:72], "big")
    if (
        len(header) < _HEADER_SIZE
        or not header.startswith(_MAGIC)
        or header[20] != CHECKSUM_BYTES
        or known not in (application, 0)
    ):
        raise _foreign(path)


def _foreign(path: str) -> DamagedError:
    return DamagedError(
        f"{path} is damaged or not a file of this kind",
        hint="give another path, or restore it from a backup",
    )


def _write_ahead(connection: apsw.Connection) -> None:
    """Switch to WAL; of two processes doing so at once one tries again."""
    for attempt in range(_RETRIES):
        try:
            if connection.pragma("journal_mode", "wal") == "wal":
                return
        except apsw.BusyError:
            if attempt == _RETRIES - 1:
                raise
        time.sleep(_RETRY_S)


def _load_checksums() -> None:
    if "cksmvfs" not in apsw.vfs_names():
        loader = apsw.Connection(":memory:")
        apsw.sqlite_extra.load(loader, "cksumvfs")
        loader.close()
