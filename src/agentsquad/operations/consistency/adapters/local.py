"""Histories in files of this machine, read line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agentsquad.operations.consistency.contract import HistoryUnreadableError


class LocalHistoryFile:
    """Reads files by path, relative ones from the current directory."""

    def lines(self, path: str) -> Iterator[tuple[bytes, int]]:
        """Yield each line, and how many percent of the file have been read."""
        try:
            with Path(path).open("rb") as file:
                size = max(1, Path(path).stat().st_size)
                read = 0
                for line in file:
                    read += len(line)
                    yield line, min(100, 100 * read // size)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise HistoryUnreadableError(
                f"cannot read {path!r}: {reason}", hint="give the path of a readable file"
            ) from error
