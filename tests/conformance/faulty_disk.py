"""A disk that fails when told: a SQLite VFS below the checksums.

It must be registered before the checksum VFS is loaded, so test files load this
module when they are imported. Without a plan it passes everything through.

A sync is counted and can fail, but does not reach the device: what it is for
is tested by `after_power_failure`, and the suite need not wait for a disk.

It also keeps, for every file, the content that was last synced: what a power
failure is sure to leave.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

WRITE, SYNC, FULL, TORN = "write", "sync", "full", "torn"


class Plan:
    """Which operation fails, and how: the `at`-th one of the kind's family."""

    def __init__(self, kind: str | None = None, at: int = 0, lasting: bool = False) -> None:
        self.kind = kind
        self.at = at
        self.lasting = lasting
        self.counts = {"write": 0, "sync": 0}
        self.struck = 0

    def meets(self, family: str) -> bool:
        """Count an operation and say whether it fails."""
        self.counts[family] += 1
        mine = (self.kind == SYNC) == (family == "sync") and self.kind is not None
        now = self.counts[family]
        hit = mine and (now == self.at or (self.lasting and now > self.at))
        self.struck += hit
        return hit


class FaultyDisk(apsw.VFS):
    def __init__(self) -> None:
        self.plan = Plan()
        self.folder: str | None = None
        self.synced: dict[str, bytes] = {}
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> FaultyFile:
        return FaultyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.synced.pop(filename, None)

    def remember(self, path: str) -> None:
        if self.folder and path.startswith(self.folder):
            self.synced[path] = Path(path).read_bytes()

    def after_power_failure(self, folder: Path) -> None:
        """Write what was synced into a folder."""
        for path, data in self.synced.items():
            (folder / os.path.basename(path)).write_bytes(data)


class FaultyFile(apsw.VFSFile):
    def __init__(
        self, disk: FaultyDisk, name: apsw.URIFilename | str | None, flags: list[int]
    ) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        plan = self._disk.plan
        if plan.meets("write"):
            if plan.kind == FULL:
                raise apsw.FullError("no space left")
            if plan.kind == TORN:
                super().xWrite(data[: len(data) // 2], offset)
            raise apsw.IOError("write failed")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.plan.meets("sync"):
            raise apsw.IOError("fsync failed")
        self._disk.remember(self._path)


DISK = FaultyDisk()
assert "cksmvfs" not in apsw.vfs_names() or apsw.vfs_names()[0] == "faulty", "loaded too late"


@contextmanager
def failing(kind: str | None, at: int = 0, *, lasting: bool = False) -> Iterator[Plan]:
    """Let the disk fail inside the block; the plan counts what happens."""
    DISK.plan = Plan(kind, at, lasting)
    try:
        yield DISK.plan
    finally:
        DISK.plan = Plan()
