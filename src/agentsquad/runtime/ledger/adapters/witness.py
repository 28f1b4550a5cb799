"""Witness: the newest head, noted in a tiny file beside the log after each
commit.

The log's own files can be cut in ways that leave a shorter but sound log; then
this file knows better. It is written without fsync, so it costs nothing and may
lag after a power failure: it can only ever say too little, never too much.
"""

from __future__ import annotations

import struct
from hashlib import sha256

from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.contract import Head
from agentsquad.runtime.ledger.disk import Disk, File

_SLOT = struct.Struct(">8sQ32s16s")
_MAGIC = b"squadhd1"


class Witness:
    """Two slots written in turn, each with a checksum, so that a torn write
    spoils only one.
    """

    def __init__(self, path: str, disk: Disk = SYSTEM) -> None:
        self._path = path
        self._disk = disk
        self._file: File | None = None
        self._turn = 0

    def read(self) -> Head | None:
        """Return the greater of the slots that are whole; None when there is
        none.
        """
        try:
            data = self._disk.read(self._path, 2 * _SLOT.size)
        except OSError:
            return None
        heads = []
        for at in range(0, len(data) - _SLOT.size + 1, _SLOT.size):
            magic, size, root, check = _SLOT.unpack_from(data, at)
            if magic == _MAGIC and check == _check(size, root):
                heads.append(Head(size, root))
        return max(heads, key=lambda head: head.size, default=None)

    def write(self, head: Head) -> None:
        """Note a head; failing to is no failure of the log."""
        slot = _SLOT.pack(_MAGIC, head.size, head.root, _check(head.size, head.root))
        try:
            if self._file is None:
                self._file = self._disk.open(self._path, create=True)
            self._file.write(slot, self._turn * _SLOT.size)
        except OSError:
            return
        self._turn ^= 1

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _check(size: int, root: bytes) -> bytes:
    return sha256(_MAGIC + size.to_bytes(8, "big") + root).digest()[:16]
