"""Files on this machine, written so that a crash leaves the old or the new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentsquad.trust.attestation.contract import FileFailedError

PUBLIC_FILE = 0o644
PUBLIC_FOLDER = 0o755


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn an operating system's error into ours."""
    try:
        yield
    except OSError as error:
        raise FileFailedError(
            f"{path}: {error.strerror or error}",
            hint="check that the folder exists, is writable and has room",
            details={"path": path},
        ) from error


class LocalFiles:
    """The file system."""

    def read(self, path: str) -> bytes | None:
        """Return the content, None when there is no such file."""
        with translated(path):
            try:
                return Path(path).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, path: str, data: bytes, *, public: bool = False) -> None:
        """Put the content in place durably, all or nothing, making folders.

        A `public` file gets 0644 and folders made for it 0755, whatever the
        process's own mask; folders that are there keep their mode.
        """
        target = Path(path)
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with translated(path):
            missing = [folder for folder in target.parents if not folder.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            for folder in missing if public else []:
                folder.chmod(PUBLIC_FOLDER)
            try:
                with draft.open("wb") as file:
                    if public:
                        os.fchmod(file.fileno(), PUBLIC_FILE)
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(target)
            finally:
                draft.unlink(missing_ok=True)

    def append(self, path: str, data: bytes) -> None:
        """Add to the end of a file durably, making it if needed."""
        target = Path(path)
        with translated(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
