"""Disk: what the ledger's adapters ask of a file system, as a port.

Apart from the adapters so that a simulated disk can stand in for the machine's:
everything that is written beside a database goes through it, while databases go
through SQLite's own layer for files (`testing.simulator` provides both). Every
method raises OSError as the operating system does.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes that suit a disk: pages in a write-ahead log before it is moved
    into its database, and bytes of room added to it at once."""

    checkpoint_pages: int = 4_000
    portion: int = 512 * 1024


class File(Protocol):
    """One open file; places are counted from its beginning."""

    def size(self) -> int:
        """Return its length."""
        ...

    def write(self, data: bytes, offset: int) -> None:
        """Write bytes at a place."""
        ...

    def sync(self) -> None:
        """Return when its content is durable."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Disk(Protocol):
    """Files by their paths."""

    @property
    def habits(self) -> Habits:
        """Sizes that suit this disk."""
        ...

    def size(self, path: str) -> int | None:
        """Return the length of a file, None when there is none."""
        ...

    def read(self, path: str, limit: int = -1) -> bytes:
        """Return a file's content, or so many bytes from its beginning."""
        ...

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> File:
        """Open a file for writing; `create` makes it when it is absent."""
        ...

    def write_new(self, path: str, data: bytes) -> None:
        """Write a whole file and make its content durable."""
        ...

    def replace(self, path: str, target: str) -> None:
        """Give a file another name, in place of what had it."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def aside(self, path: str) -> str:
        """Return a name beside `path` that no other process uses."""
        ...

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, in no order."""
        ...

    def names(self, path: str) -> list[str]:
        """Return the names of what is in a folder, in no order."""
        ...

    def make_folder(self, path: str, mode: int = 0o777) -> bool:
        """Create a folder and those above it, durably; say whether it was
        new."""
        ...

    def sync_folder(self, path: str) -> None:
        """Return when the names in a folder are durable."""
        ...
