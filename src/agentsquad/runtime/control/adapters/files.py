"""Files of this machine, read and written whole: manifests as text, nets as
bytes, since an XML document names its own encoding."""

from __future__ import annotations

import sys
from pathlib import Path

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.runtime.control.contract import SourceMissingError, SourceUnreadableError

MANIFEST_MAX = 16 * 2**20


class LocalFiles:
    """Whole files as bytes, up to a size; "-" is the standard input, read
    once."""

    def __init__(
        self, most: int, missing: type[MissingError], unreadable: type[InvalidError]
    ) -> None:
        """The errors are those that its user knows."""
        self._most = most
        self._missing = missing
        self._unreadable = unreadable

    def read(self, path: str) -> bytes:
        """Return what a file holds."""
        try:
            if path == "-":
                data = sys.stdin.buffer.read(self._most + 1)
            else:
                with Path(path).open("rb") as file:
                    data = file.read(self._most + 1)
        except FileNotFoundError:
            raise self._missing(
                f"no file {path!r}", hint="check the path, or give - to read standard input"
            ) from None
        except OSError as error:
            raise self._unreadable(
                f"cannot read {path!r}: {error.strerror}", hint="give a readable file"
            ) from error
        if len(data) > self._most:
            raise self._unreadable(
                f"{path!r} is larger than {self._most} bytes", hint="split what is in it"
            )
        return data

    def write(self, path: str, data: bytes) -> None:
        """Write a file as a whole."""
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise self._unreadable(
                f"cannot write {path!r}: {error.strerror}", hint="give a writable path"
            ) from error


class FileSource:
    """Reads UTF-8 texts."""

    def __init__(self) -> None:
        self._files = LocalFiles(MANIFEST_MAX, SourceMissingError, SourceUnreadableError)

    def read(self, name: str) -> str:
        """Return the text of a file."""
        try:
            return self._files.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceUnreadableError(
                f"{name!r} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
            ) from None
