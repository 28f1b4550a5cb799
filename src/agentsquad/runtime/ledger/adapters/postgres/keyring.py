"""Key ring: subjects' keys in a table of their own, which every process of the
ledger shares.

A key that is destroyed is overwritten and the table written anew, so that its
file holds it no longer. The server's write-ahead log and backups taken before
may; to keep keys out of the log's backups give them a database of their own.
"""

from __future__ import annotations

from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.adapters import cipher
from agentsquad.runtime.ledger.adapters.cipher import Entry
from agentsquad.runtime.ledger.adapters.postgres import schema
from agentsquad.runtime.ledger.adapters.postgres.codec import BYTEA, TEXT, columns, number
from agentsquad.runtime.ledger.adapters.postgres.wire import Statement, Wire

_ENTRY = Statement("SELECT key, erasures FROM key WHERE subject = $1", TEXT)
_ENSURE = Statement(
    "INSERT INTO key VALUES ($1, $2, 0) ON CONFLICT (subject) DO UPDATE SET"
    " key = coalesce(key.key, excluded.key)",
    *(TEXT, BYTEA),
)
_DESTROY = Statement(
    "INSERT INTO key VALUES ($1, NULL, 1) ON CONFLICT (subject) DO UPDATE SET key = NULL,"
    " erasures = key.erasures + (key.key IS NOT NULL OR key.erasures = 0)::int",
    TEXT,
)
_REWRITE = Statement("VACUUM (FULL) key")
_SUBJECTS = Statement("SELECT subject FROM key WHERE key IS NOT NULL ORDER BY 1")


class PostgresKeyRing:
    """Keys in the table `key`."""

    def __init__(self, wire: Wire, entropy: Entropy) -> None:
        self._wire = wire
        self._entropy = entropy
        schema.ensure(wire)

    def encrypt(self, subject: str, data: bytes) -> bytes:
        """Return a box only the subject's key opens."""
        return cipher.encrypt(self._ensured(subject), subject, data, self._entropy)

    def decrypt(self, subject: str, box: bytes) -> bytes | None:
        """Return what is in a box, None when its key was destroyed."""
        return cipher.decrypt(self._entry(subject), subject, box)

    def destroy(self, subject: str) -> int:
        """Overwrite and forget the subject's key for good; say how many there
        were.
        """
        entry = self._entry(subject)
        self._wire.ask((_DESTROY, [subject.encode()]))
        self._wire.ask((_REWRITE, ()))
        return 0 if entry is None or entry.key is None else 1

    def erasures(self, subject: str) -> int | None:
        """Return how often a key of the subject was destroyed."""
        entry = self._entry(subject)
        return None if entry is None else entry.erasures

    def subjects(self) -> list[str]:
        """Return every subject with a key."""
        [found] = self._wire.ask((_SUBJECTS, ()))
        return [name.decode() for (name,) in columns(found)]

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.close()

    def _entry(self, subject: str) -> Entry | None:
        [found] = self._wire.ask((_ENTRY, [subject.encode()]))
        for key, erasures in columns(found):
            return Entry(key, number(erasures))
        return None

    def _ensured(self, subject: str) -> bytes:
        entry = self._entry(subject)
        while entry is None or entry.key is None:
            fresh = self._entropy.token(cipher.KEY_SIZE)
            # Another process may be first; whoever is, both use what is stored.
            self._wire.ask((_ENSURE, [subject.encode(), fresh]))
            entry = self._entry(subject)
        return entry.key
