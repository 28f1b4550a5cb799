"""Key ring: subjects' keys in a SQLite file of their own, from which a key can
really be removed.

Apart from the log, so that backups of the log hold no keys. Deleted content is
overwritten with zeros (`secure_delete`) and the write-ahead log, which might
hold older pages, is emptied at once.
"""

from __future__ import annotations

import os

import apsw

from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.adapters import database
from agentsquad.runtime.ledger.contract import BusyError
from agentsquad.runtime.ledger.sealing import KEY_SIZE

APPLICATION = 0x5351_4C4B  # "SQLK"

_SCHEMA = "CREATE TABLE IF NOT EXISTS key (subject TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT"


class SqliteKeyRing:
    """Keys in a file that only its owner may read."""

    def __init__(self, path: str, entropy: Entropy) -> None:
        self._path = path
        self._entropy = entropy
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._db = database.connect(path, application=APPLICATION)
        try:
            with database.translated(path):
                self._db.pragma("secure_delete", True)
                if not self._db.pragma("application_id"):
                    self._db.execute(f"BEGIN IMMEDIATE; {_SCHEMA}; COMMIT")
                    self._db.pragma("application_id", APPLICATION)
                database.checkpoint(self._db)
        except BaseException:
            self._db.close(True)
            raise

    def key(self, subject: str) -> bytes | None:
        """Return the subject's key, None when there is none (any more)."""
        with database.translated(self._path):
            found = self._db.execute("SELECT key FROM key WHERE subject = ?", (subject,)).get
        return found if isinstance(found, bytes) else None

    def ensure(self, subject: str) -> bytes:
        """Return the subject's key, making it durable first when it is new."""
        found = self.key(subject)
        while found is None:
            fresh = self._entropy.token(KEY_SIZE)
            try:
                # Another process may be first: whoever is, both use what is
                # stored.
                self._db.execute("INSERT OR IGNORE INTO key VALUES (?, ?)", (subject, fresh))
            except apsw.Error as error:
                raise database.write_error(error, self._path) from error
            found = self.key(subject)
        return found

    def destroy(self, subject: str) -> int:
        """Overwrite and forget the subject's key for good and return how many
        there were.

        Raises BusyError when another process reads just then and keeps the old
        pages alive; the key is gone from the table, and destroying again
        empties the write-ahead log.
        """
        try:
            self._db.execute("DELETE FROM key WHERE subject = ?", (subject,))
            count = self._db.changes()
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
        except apsw.Error as error:
            raise database.write_error(error, self._path) from error
        if busy:
            raise BusyError(hint="another process is reading keys: erase again")
        return count

    def subjects(self) -> list[str]:
        """Return every subject with a key."""
        with database.translated(self._path):
            return [name for (name,) in self._db.execute("SELECT subject FROM key ORDER BY 1")]

    def close(self) -> None:
        """Close the file."""
        self._db.close()
