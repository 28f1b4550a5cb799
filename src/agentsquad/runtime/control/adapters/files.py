"""Files: manifests from the file system and the standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from agentsquad.runtime.control.contract import SourceMissingError, SourceUnreadableError

SIZE_MAX = 16 * 2**20


class FileSource:
    """Reads UTF-8 texts; "-" is the standard input, read once."""

    def read(self, name: str) -> str:
        """Return the text of a file."""
        try:
            if name == "-":
                data = sys.stdin.buffer.read(SIZE_MAX + 1)
            else:
                with Path(name).open("rb") as file:
                    data = file.read(SIZE_MAX + 1)
        except FileNotFoundError:
            raise SourceMissingError(
                f"no file {name!r}", hint="check the path, or give - to read standard input"
            ) from None
        except OSError as error:
            raise SourceUnreadableError(
                f"cannot read {name!r}: {error.strerror}", hint="give a readable file"
            ) from error
        if len(data) > SIZE_MAX:
            raise SourceUnreadableError(
                f"{name!r} is larger than {SIZE_MAX} bytes", hint="split the manifest"
            )
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceUnreadableError(
                f"{name!r} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
            ) from None
