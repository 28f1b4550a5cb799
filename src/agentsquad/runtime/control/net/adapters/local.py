"""Files of this machine, as bytes: an XML document names its own encoding."""

from __future__ import annotations

import sys
from pathlib import Path

from agentsquad.runtime.control.net.contract import NetMissingError, NetUnreadableError

SIZE_MAX = 256 * 2**20


class LocalNetFile:
    """Reads and writes whole files; "-" is the standard input."""

    def read(self, path: str) -> bytes:
        """Return what a file holds."""
        try:
            if path == "-":
                data = sys.stdin.buffer.read(SIZE_MAX + 1)
            else:
                with Path(path).open("rb") as file:
                    data = file.read(SIZE_MAX + 1)
        except FileNotFoundError:
            raise NetMissingError(
                f"no file {path!r}", hint="check the path, or give - to read standard input"
            ) from None
        except OSError as error:
            raise NetUnreadableError(
                f"cannot read {path!r}: {error.strerror}", hint="give a readable file"
            ) from error
        if len(data) > SIZE_MAX:
            raise NetUnreadableError(
                f"{path!r} is larger than {SIZE_MAX} bytes", hint="split the file"
            )
        return data

    def write(self, path: str, data: bytes) -> None:
        """Write a file as a whole."""
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise NetUnreadableError(
                f"cannot write {path!r}: {error.strerror}", hint="give a writable path"
            ) from error
