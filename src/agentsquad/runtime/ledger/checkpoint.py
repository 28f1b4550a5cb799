"""Checkpoints (C2SP tlog-checkpoint): the head of the log as three lines that
can be signed.

Also how a head is compared with an older one that somebody kept. A log signs no
head that does not extend every head it signed before; `extends` is the question
to ask before signing and after reading.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.ledger.merkle import HASH_SIZE, verify_consistency
from agentsquad.runtime.ledger.note import Note, parse

_SIZE = re.compile("0|[1-9][0-9]*")


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of a log: who it is, how many leaves it has, and their root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the note text; InvalidError `checkpoint.malformed` if it would
        not read back.
        """
        root = base64.b64encode(self.root).decode()
        text = "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))
        if Checkpoint.parse(text) != self:
            raise InvalidError(
                "a line of the checkpoint holds a newline", code="checkpoint.malformed"
            )
        return text

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note text; InvalidError `checkpoint.malformed` says which line
        is wrong.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise InvalidError(
                "a checkpoint is three or more lines, none empty, each ending with a newline",
                code="checkpoint.malformed",
            )
        origin, size, encoded, *extensions = lines[:-1]
        if not _SIZE.fullmatch(size):
            raise InvalidError(
                f"line 2 of a checkpoint is the size in decimal, not {size[:40]!r}",
                code="checkpoint.malformed",
            )
        try:
            root = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            root = b""
        if len(root) != HASH_SIZE or base64.b64encode(root).decode() != encoded:
            raise InvalidError(
                "line 3 of a checkpoint is the root, 32 bytes in base64",
                code="checkpoint.malformed",
            )
        return cls(origin, int(size), root, tuple(extensions))

    @classmethod
    def of(cls, note: Note) -> Checkpoint:
        """Read the checkpoint a note carries."""
        return cls.parse(note.text)


def extends(new: Checkpoint, old: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Say whether `proof` shows that `new` is the same log as `old`, later or
    at the same time.
    """
    return new.origin == old.origin and verify_consistency(
        old.size, new.size, old.root, new.root, proof
    )


def split_witnessed(data: bytes) -> list[bytes]:
    """Return the notes of a witness file: signed checkpoints, oldest first, an
    empty line after each.

    InvalidError `checkpoint.witness` when the file holds anything else, for
    example half a note.
    """
    notes: list[bytes] = []
    at = 0
    while at < len(data):
        gap = data.find(b"\n\n", at)
        end = data.find(b"\n\n", gap + 2) if gap >= 0 else -1
        if end < 0:
            raise InvalidError(
                f"the witness file ends inside checkpoint {len(notes) + 1}",
                code="checkpoint.witness",
                hint="restore the file from the copy the witness keeps; never edit it",
            )
        raw = data[at : end + 1]
        Checkpoint.of(parse(raw))
        notes.append(raw)
        at = end + 2
    return notes
