"""Reserve: room ahead in the write-ahead log, so that commits need not grow it.

Syncing a file that grew makes the file system write its own journal as well;
overwriting room that is already there does not, and takes about half the time.
SQLite grows the write-ahead log page by page, so room is written here in larger
portions, as zeros after its end, which recovery takes for no frames at all.
"""

from __future__ import annotations

import os

PORTION = 512 * 1024
FRAME = 4096 + 24
_ZEROS = bytes(PORTION)


class Reserve:
    """Extends one write-ahead log; only the holder of the write lock may."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    def ensure(self, frames: int) -> None:
        """Make sure so many frames fit; failing to is no failure of the log."""
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            size = os.fstat(self._file).st_size
            if 0 < size < 32 + frames * FRAME:
                os.pwrite(self._file, _ZEROS, size)
        except OSError:
            return

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
