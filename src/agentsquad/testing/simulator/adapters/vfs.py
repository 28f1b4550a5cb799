"""Vfs: SQLite's files on simulated disks, below its checksums as in production.

Registered as the default below the checksum layer; paths that do not lie on a
simulated disk pass through unchanged. The database file itself stands on an
empty real file, whose only use is that SQLite's own locks and its shared index
of the write-ahead log (in the heap, `unix-excl`) belong to it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import tempfile
from typing import Any

import apsw
import apsw.sqlite_extra

from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.disk import SimulatedDisk
from agentsquad.testing.simulator.loop import OWNER
from agentsquad.testing.simulator.media import Medium

ROOT = "/simulated/"
_CREATE = apsw.SQLITE_OPEN_CREATE
_JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


class _Paged:
    """Reading and writing, shared by databases and their journals."""

    _disk: SimulatedDisk
    _medium: Medium
    _folder: str | None

    def xRead(self, amount: int, offset: int) -> bytes:
        try:
            return self._disk.read_medium(self._life, self._medium, amount, offset)
        except OSError as error:
            raise _error(error) from error

    def xWrite(self, data: bytes, offset: int) -> None:
        try:
            self._disk.write_medium(self._life, self._medium, bytes(data), offset)
        except OSError as error:
            raise _error(error) from error

    def xTruncate(self, newsize: int) -> None:
        try:
            self._disk.cut_medium(self._life, self._medium, newsize)
        except OSError as error:
            raise _error(error) from error

    def xSync(self, flags: int) -> None:
        try:
            self._disk.sync_medium(self._life, self._medium)
            if self._folder is not None:  # SQLite makes a new journal's name durable
                self._disk.sync_folder(self._folder)
                self._folder = None
        except OSError as error:
            raise _error(error) from error

    def xFileSize(self) -> int:
        return len(self._medium.content)

    def _open(self, disk: SimulatedDisk, path: str, flags: int) -> None:
        self._disk = disk
        self._life = OWNER.get()
        self._medium = disk.find(path, create=bool(flags & _CREATE))
        fresh = bool(flags & _CREATE and flags & _JOURNALS)
        self._folder = posixpath.dirname(path) if fresh else None


class _Journal(_Paged):
    """A journal or write-ahead log: only its database is ever locked."""

    def __init__(self, disk: SimulatedDisk, path: str, flags: int) -> None:
        self._open(disk, path, flags)

    def xClose(self) -> None:
        pass

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE)


class _Database(_Paged, apsw.VFSFile):
    """A database file; locks and shared memory are those of its stand-in."""

    def __init__(self, disk: SimulatedDisk, path: str, stand_in: str, flags: list[int]) -> None:
        self._open(disk, path, flags[0])
        apsw.VFSFile.__init__(self, "unix-excl", f"{stand_in}-{self._medium.number}", flags)


class SimulatedVfs(apsw.VFS):
    """Routes paths to the simulated disks that are plugged in."""

    def __init__(self, below: str) -> None:
        self._below = below
        self._folder = tempfile.mkdtemp(prefix="simulated-")
        self._disks: dict[str, SimulatedDisk] = {}
        self._chance: Chance | None = None
        super().__init__("simulated", below, makedefault=True)

    def plug(self, disk: SimulatedDisk) -> None:
        """Make a disk's files reachable by their paths."""
        self._disks[disk.name] = disk

    def begin(self, chance: Chance) -> None:
        """Forget all disks, and let SQLite draw its chance from the seed."""
        self._disks.clear()
        self._chance = chance
        apsw.randomness(0)

    def end(self) -> None:
        """Give SQLite back the machine's chance."""
        self._disks.clear()
        self._chance = None
        apsw.randomness(0)
        for name in os.listdir(self._folder):
            os.unlink(os.path.join(self._folder, name))

    def remove(self) -> None:
        """Remove what was left on the real disk."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _disk(self, path: str) -> SimulatedDisk | None:
        if not path.startswith(ROOT):
            return None
        return self._disks.get(path[len(ROOT) :].partition("/")[0])

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> Any:
        """Open a file on its disk."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        disk = None if path is None else self._disk(path)
        if disk is None or path is None:
            return apsw.VFSFile(self._below, name, flags)
        try:
            if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
                stand_in = os.path.join(self._folder, disk.name)
                return _Database(disk, path, stand_in, flags)
            flags[1] = flags[0]
            return _Journal(disk, path, flags[0])
        except OSError as error:
            raise apsw.CantOpenError(str(error)) from error

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Remove a name."""
        disk = self._disk(filename)
        if disk is None:
            super().xDelete(filename, syncdir)
            return
        try:
            disk.remove(filename)
            if syncdir:
                disk.sync_folder(posixpath.dirname(filename))
        except OSError as error:
            raise _error(error) from error

    def xAccess(self, pathname: str, flags: int) -> bool:
        """Say whether there is such a file."""
        disk = self._disk(pathname)
        if disk is None:
            return super().xAccess(pathname, flags)
        try:
            return disk.size(pathname) is not None
        except OSError:
            return False

    def xFullPathname(self, name: str) -> str:
        """Return the path itself."""
        return name if self._disk(name) is not None else super().xFullPathname(name)

    def xRandomness(self, numbytes: int) -> bytes:
        """Return chance of the seed."""
        if self._chance is None:
            return super().xRandomness(numbytes)
        return self._chance.token(numbytes)

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> bool:
        """Say nothing: only a dead process cannot be told of its errors."""
        return True


def install() -> SimulatedVfs:
    """Put the layer between the checksums and what was below them.

    Checksums that are loaded already stand on that: they are taken off, and
    loaded again on top.
    """
    if "cksmvfs" in apsw.vfs_names():
        apsw.unregister_vfs("cksmvfs")
    below = next(name for name in apsw.vfs_names() if name not in ("cksmvfs", "simulated"))
    vfs = SimulatedVfs(below)
    loader = apsw.Connection(":memory:")
    apsw.sqlite_extra.load(loader, "cksumvfs")
    loader.close()
    return vfs


def _error(error: OSError) -> apsw.Error:
    if error.errno == errno.ENOSPC:
        return apsw.FullError(str(error))
    return apsw.IOError(str(error))


__all__ = ["SimulatedVfs", "install"]
