"""Reserve: room ahead in the write-ahead log, so that commits need not grow it.

Syncing a file that grew makes the file system write its own journal as well;
overwriting room that is already there does not, and takes about half the time.
SQLite grows the write-ahead log page by page, so room is written here in larger
portions, as zeros after its end, which recovery takes for no frames at all.
"""

from __future__ import annotations

from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.disk import Disk, File

FRAME = 4096 + 24


class Reserve:
    """Extends one write-ahead log; only the holder of the write lock may."""

    def __init__(self, path: str, disk: Disk = SYSTEM) -> None:
        self._path = path
        self._disk = disk
        self._zeros = bytes(disk.habits.portion)
        self._file: File | None = None

    def ensure(self, frames: int) -> None:
        """Make sure so many frames fit; failing to is no failure of the log."""
        try:
            if self._file is None:
                self._file = self._disk.open(self._path)
            size = self._file.size()
            if 0 < size < 32 + frames * FRAME:
                self._file.write(self._zeros, size)
        except OSError:
            return

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
