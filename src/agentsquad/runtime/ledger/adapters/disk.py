"""Disk: the machine's own file system."""

from __future__ import annotations

import os
from contextlib import suppress

from agentsquad.runtime.ledger.disk import Habits


class SystemFile:
    """An open file of the operating system."""

    __slots__ = ("_handle",)

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def size(self) -> int:
        """Return its length."""
        return os.fstat(self._handle).st_size

    def write(self, data: bytes, offset: int) -> None:
        """Write bytes at a place."""
        os.pwrite(self._handle, data, offset)

    def sync(self) -> None:
        """Return when its content is durable."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)


class SystemDisk:
    """Files of the operating system."""

    habits = Habits()

    def size(self, path: str) -> int | None:
        """Return the length of a file, None when there is none."""
        try:
            return os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, path: str, limit: int = -1) -> bytes:
        """Return a file's content, or so many bytes from its beginning."""
        with open(path, "rb") as file:
            return file.read(limit)

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> SystemFile:
        """Open a file for writing; `create` makes it when it is absent."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return SystemFile(os.open(path, flags, mode))

    def write_new(self, path: str, data: bytes) -> None:
        """Write a whole file and make its content durable."""
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, path: str, target: str) -> None:
        """Give a file another name, in place of what had it."""
        os.replace(path, target)

    def remove(self, path: str) -> None:
        """Remove a file."""
        os.unlink(path)

    def aside(self, path: str) -> str:
        """Return a name beside `path` that no other process uses."""
        return f"{path}.{os.getpid()}.new"

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, in no order."""
        return [entry.name for entry in os.scandir(path) if entry.is_dir()]

    def names(self, path: str) -> list[str]:
        """Return the names of what is in a folder, in no order."""
        return os.listdir(path)

    def make_folder(self, path: str, mode: int = 0o777) -> bool:
        """Create a folder and those above it, durably; say whether it was
        new."""
        if os.path.isdir(path):
            return False
        above = os.path.dirname(path) or "."
        if above != path:
            self.make_folder(above)
        with suppress(FileExistsError):
            os.mkdir(path, mode)
        self.sync_folder(above)
        return True

    def sync_folder(self, path: str) -> None:
        """Return when the names in a folder are durable."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


SYSTEM = SystemDisk()
