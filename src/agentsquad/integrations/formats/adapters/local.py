"""Files of this machine, read for the format actions."""

from __future__ import annotations

from pathlib import Path

from agentsquad.integrations.formats.contract import FileTooLargeError, FileUnreadableError


class LocalFileReader:
    """Reads files by path, relative ones from the current directory."""

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes of a file of at most `limit` bytes."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(limit + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FileUnreadableError(
                f"cannot read {path!r}: {reason}", hint="give the path of a readable file"
            ) from error
        if len(data) > limit:
            raise FileTooLargeError(
                f"{path!r} is larger than {limit} bytes",
                hint="split it by interchange, or use x12.iter_transactions from Python",
            )
        return data
