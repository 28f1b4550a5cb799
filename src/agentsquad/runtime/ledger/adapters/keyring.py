"""Key ring: subjects' keys in a SQLite file of their own, from which a key can
really be removed.

Apart from the log, so that backups of the log hold no keys. Deleted content is
overwritten with zeros (`secure_delete`) and the write-ahead log, which might
hold older pages, is emptied at once. That a key was destroyed is remembered, so
that an erased person is never confused with a lost file.
"""

from __future__ import annotations

import apsw

from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.adapters import cipher, database
from agentsquad.runtime.ledger.adapters.cipher import Entry
from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.contract import BusyError
from agentsquad.runtime.ledger.disk import Disk

APPLICATION = 0x5351_4C4B  # "SQLK"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS key (
    subject TEXT PRIMARY KEY, key BLOB, erasures INTEGER NOT NULL DEFAULT 0) STRICT
"""


class SqliteKeyRing:
    """Keys in a file that only its owner may read."""

    def __init__(self, path: str, entropy: Entropy, disk: Disk = SYSTEM) -> None:
        self._path = path
        self._entropy = entropy
        with database.translated(path):
            disk.open(path, create=True, mode=0o600).close()
        self._db = database.connect(path, application=APPLICATION, disk=disk)
        try:
            with database.translated(path):
                self._db.pragma("secure_delete", True)
                if not self._db.pragma("application_id"):
                    self._db.execute(
                        f"BEGIN IMMEDIATE; {_SCHEMA}; PRAGMA application_id = {APPLICATION}; COMMIT"
                    )
                database.checkpoint(self._db)
        except BaseException:
            database.let_go(self._db)
            raise

    def encrypt(self, subject: str, data: bytes) -> bytes:
        """Return a box only the subject's key opens."""
        return cipher.encrypt(self._ensure(subject), subject, data, self._entropy)

    def decrypt(self, subject: str, box: bytes) -> bytes | None:
        """Return what is in a box, None when its key was destroyed."""
        return cipher.decrypt(self._entry(subject), subject, box)

    def destroy(self, subject: str) -> int:
        """Overwrite and forget the subject's key for good; say how many there
        were.

        Raises BusyError when another process reads just then and keeps the old
        pages alive; the key is gone from the table, and destroying again
        empties the write-ahead log.
        """
        entry = self._entry(subject)
        try:
            self._db.execute(
                "INSERT INTO key VALUES (?, NULL, 1) ON CONFLICT (subject) DO UPDATE SET"
                " key = NULL, erasures = erasures + (key IS NOT NULL OR erasures = 0)",
                (subject,),
            )
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
        except apsw.Error as error:
            raise database.write_error(error, self._path) from error
        if busy:
            raise BusyError(hint="another process is reading keys: erase again")
        return 0 if entry is None or entry.key is None else 1

    def erasures(self, subject: str) -> int | None:
        """Return how often a key of the subject was destroyed."""
        entry = self._entry(subject)
        return None if entry is None else entry.erasures

    def subjects(self) -> list[str]:
        """Return every subject with a key."""
        with database.translated(self._path):
            found = self._db.execute("SELECT subject FROM key WHERE key IS NOT NULL ORDER BY 1")
            return [name for (name,) in found]

    def close(self) -> None:
        """Close the file."""
        database.let_go(self._db)

    def _entry(self, subject: str) -> Entry | None:
        with database.translated(self._path):
            found = self._db.execute(
                "SELECT key, erasures FROM key WHERE subject = ?", (subject,)
            ).get
        if found is None:
            return None
        if found[0] is None:
            database.expect(self._path, found[1:], int)
        else:
            database.expect(self._path, found, bytes, int)
        return Entry(*found)

    def _ensure(self, subject: str) -> bytes:
        entry = self._entry(subject)
        while entry is None or entry.key is None:
            fresh = self._entropy.token(cipher.KEY_SIZE)
            try:
                # Another process may be first; whoever is, both use what is
                # stored.
                self._db.execute(
                    "INSERT INTO key VALUES (?, ?, 0) ON CONFLICT (subject) DO UPDATE SET"
                    " key = coalesce(key, excluded.key)",
                    (subject, fresh),
                )
            except apsw.Error as error:
                raise database.write_error(error, self._path) from error
            entry = self._entry(subject)
        return entry.key
