"""Disk: one simulated disk, its files and names, and what goes wrong with it.

It is the ledger's `Disk` port, and the place where SQLite's files lie
(`adapters/vfs.py`). Every operation belongs to the life that opened the file:
one that was killed changes nothing any more. Names follow POSIX to the letter:
a name is durable when its folder was synced.
"""

from __future__ import annotations

import errno
import posixpath
import zlib
from collections.abc import Callable

from agentsquad.runtime.ledger.disk import Habits
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.loop import OWNER, Life
from agentsquad.testing.simulator.media import PAGE, Medium
from agentsquad.testing.simulator.trace import Trace


class Fuse:
    """Cuts power or kills a process at the n-th operation from now, in the
    middle of it."""

    def __init__(
        self, after: int, blow: Callable[[], None], *, done: bool, life: Life | None
    ) -> None:
        self.left = after
        self.blow = blow
        self.life = life  # whose operations count; None: everybody's
        self.done = done  # whether the operation reaches the page cache first


class SimulatedDisk:
    """Files in memory, with faults."""

    def __init__(self, name: str, chance: Chance, trace: Trace, habits: Habits) -> None:
        self.name = name
        self.habits = habits
        self.root = f"/simulated/{name}"
        self._chance = chance
        self._trace = trace
        self._count = 0
        self._names: dict[str, Medium] = {}
        self._kept: dict[str, Medium] = {}  # names that are durable
        self._pending: list[tuple[str, Medium | None]] = []
        self.fuse: Fuse | None = None
        self.room: int | None = None  # bytes that still fit; None: as many as you like
        self.sync_fails = 0.0
        self.sync_failed: Callable[[], None] | None = None  # hears when one has failed
        self.write_fails = 0.0
        self.read_fails = 0.0
        self.off = False
        self.syncs = 0
        self._kept[self.root] = self._names[self.root] = self._medium(folder=True)

    def _medium(self, *, folder: bool = False) -> Medium:
        self._count += 1
        return Medium(self._count, folder=folder)

    # --- for whoever holds a file open

    def find(self, path: str, *, create: bool = False) -> Medium:
        """Return the file of a name; OSError as the system raises it."""
        self.guard(OWNER.get())
        medium = self._names.get(path)
        if medium is None:
            if not create or posixpath.dirname(path) not in self._names:
                raise OSError(errno.ENOENT, "No such file or directory", path)
            medium = self._medium()
            self._name(path, medium)
        return medium

    def guard(self, life: Life | None) -> None:
        """Let only the living pass."""
        if (life is not None and not life.alive) or self.off:
            raise OSError(errno.EIO, "the process is no more")

    def read_medium(self, life: Life | None, medium: Medium, size: int, offset: int) -> bytes:
        """Read from a file."""
        self.guard(life)
        if self.read_fails and life is not None and self._chance.happens(self.read_fails):
            self._trace.fault("read error", self.name, f"file {medium.number} at {offset}")
            raise OSError(errno.EIO, "Input/output error")
        return bytes(medium.content[offset : offset + size])

    def write_medium(self, life: Life | None, medium: Medium, data: bytes, offset: int) -> None:
        """Write to a file."""
        self.guard(life)
        grown = max(0, offset + len(data) - len(medium.content))
        if self.room is not None and grown > self.room:
            self._trace.fault("disk full", self.name, f"file {medium.number} at {offset}")
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.write_fails and life is not None and self._chance.happens(self.write_fails):
            torn = self._chance.below(len(data) + 1)
            medium.write(data[:torn], offset)
            self._trace.fault("torn write", self.name, f"{torn} of {len(data)} bytes at {offset}")
            raise OSError(errno.EIO, "Input/output error")
        if self.room is not None:
            self.room -= grown
        spark = self._spark(life)
        if spark is not None and not spark.done:
            medium.write(data[: self._chance.below(len(data) + 1)], offset)
        else:
            medium.write(data, offset)
        self._trace.detail(f"w {medium.number} {offset} {len(data)} {zlib.crc32(data)}")
        self._blow(spark)

    def cut_medium(self, life: Life | None, medium: Medium, size: int) -> None:
        """Cut a file."""
        self.guard(life)
        spark = self._spark(life)
        if spark is None or spark.done:
            medium.cut(size)
        self._trace.detail(f"t {medium.number} {size}")
        self._blow(spark)

    def sync_medium(self, life: Life | None, medium: Medium) -> None:
        """Make a file durable."""
        self.guard(life)
        self.syncs += 1
        if self.sync_fails and life is not None and self._chance.happens(self.sync_fails):
            medium.forget()
            self._trace.fault("fsync error", self.name, f"file {medium.number}")
            if self.sync_failed is not None:
                self.sync_failed()
            raise OSError(errno.EIO, "Input/output error")
        spark = self._spark(life)
        if spark is None or spark.done:
            medium.sync()
        self._trace.detail(f"s {medium.number}")
        self._blow(spark)

    def _spark(self, life: Life | None) -> Fuse | None:
        """Count an operation; return the fuse if it burns down in this one."""
        fuse = self.fuse
        if fuse is None or life is None or fuse.life not in (None, life):
            return None
        fuse.left -= 1
        if fuse.left > 0:
            return None
        self.fuse = None
        return fuse

    @staticmethod
    def _blow(fuse: Fuse | None) -> None:
        if fuse is not None:
            fuse.blow()
            raise OSError(errno.EIO, "the process is no more")

    # --- the ledger's port

    def size(self, path: str) -> int | None:
        """Return the length of a file, None when there is none."""
        self.guard(OWNER.get())
        medium = self._names.get(path)
        return None if medium is None else len(medium.content)

    def read(self, path: str, limit: int = -1) -> bytes:
        """Return a file's content, or so many bytes from its beginning."""
        medium = self.find(path)
        size = len(medium.content) if limit < 0 else limit
        return self.read_medium(OWNER.get(), medium, size, 0)

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> SimulatedFile:
        """Open a file for writing; `create` makes it when it is absent."""
        return SimulatedFile(self, self.find(path, create=create))

    def write_new(self, path: str, data: bytes) -> None:
        """Write a whole file and make its content durable."""
        medium = self.find(path, create=True)
        self.cut_medium(OWNER.get(), medium, 0)
        self.write_medium(OWNER.get(), medium, data, 0)
        self.sync_medium(OWNER.get(), medium)

    def replace(self, path: str, target: str) -> None:
        """Give a file another name, in place of what had it."""
        medium = self.find(path)
        self._name(target, medium)
        self._name(path, None)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.find(path)
        self._name(path, None)

    def aside(self, path: str) -> str:
        """Return a name beside `path` that no other process uses."""
        life = OWNER.get()
        return f"{path}.{life.name if life else 'nobody'}.new"

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, in no order."""
        return [n for n in self.names(path) if self._names[posixpath.join(path, n)].folder]

    def names(self, path: str) -> list[str]:
        """Return the names of what is in a folder, in no order."""
        self.find(path)
        return [posixpath.basename(n) for n in self._names if posixpath.dirname(n) == path]

    def make_folder(self, path: str, mode: int = 0o777) -> bool:
        """Create a folder and those above it, durably; say whether it was
        new."""
        self.guard(OWNER.get())
        if path in self._names:
            return False
        if posixpath.dirname(path) != path:
            self.make_folder(posixpath.dirname(path))
        self._name(path, self._medium(folder=True))
        self.sync_folder(posixpath.dirname(path))
        return True

    def sync_folder(self, path: str) -> None:
        """Return when the names in a folder are durable."""
        self.sync_medium(OWNER.get(), self.find(path))
        mine = [(n, m) for n, m in self._pending if posixpath.dirname(n) == path]
        self._pending = [(n, m) for n, m in self._pending if posixpath.dirname(n) != path]
        self._keep(mine)

    def _name(self, path: str, medium: Medium | None) -> None:
        self._trace.detail(f"n {path} {medium.number if medium else 0}")
        self._pending.append((path, medium))
        if medium is None:
            self._names.pop(path, None)
        else:
            self._names[path] = medium

    def _keep(self, changes: list[tuple[str, Medium | None]]) -> None:
        for path, medium in changes:
            if medium is None:
                self._kept.pop(path, None)
            else:
                self._kept[path] = medium

    # --- what happens to a disk

    def lose_power(self) -> str:
        """Keep what is durable, and some of the rest; say what was kept."""
        self._keep(self._pending[: self._chance.below(len(self._pending) + 1)])
        self._pending.clear()
        told = []
        for path in sorted(self._kept):
            if posixpath.dirname(path) not in self._kept and path != self.root:
                del self._kept[path]
                continue
            how = self._kept[path].lose_power(self._chance)
            if how != "clean":
                told.append(f"{posixpath.basename(path)}: {how}")
        self._names = dict(self._kept)
        return ", ".join(told)

    def reboot(self) -> None:
        """Write everything back, as an orderly shutdown does."""
        self._keep(self._pending)
        self._pending.clear()
        for medium in self._names.values():
            medium.sync()
            medium.content = bytearray(medium.durable)

    def flip(self) -> str:
        """Flip one bit at rest in some file."""
        path, medium = self._victim()
        at = self._chance.below(len(medium.durable))
        bit = 1 << self._chance.below(8)
        medium.damage(bytes([medium.durable[at] ^ bit]), at)
        return f"{posixpath.basename(path)} at {at}"

    def misdirect(self) -> str:
        """Let a page of some file lie where another page of it belongs, or one
        of another file."""
        path, medium = self._victim()
        other, source = self._victim()
        start = self._chance.below(-(-len(source.durable) // PAGE)) * PAGE
        page = bytes(source.durable[start : start + PAGE])
        at = self._chance.below(-(-len(medium.durable) // PAGE)) * PAGE
        medium.damage(page[: len(medium.durable) - at], at)
        return (
            f"{posixpath.basename(path)} at {at} holds what {posixpath.basename(other)} has"
            f" at {start}"
        )

    def lose_write(self) -> str | None:
        """Let one of the last synced writes have gone nowhere, if it wrote over
        something: what is there is older, and whole."""
        found = [(path, medium) for path, medium in self._damageable() if medium.before]
        if not found:
            return None
        path, medium = self._chance.pick(found)
        start, before = self._chance.pick(medium.before)
        medium.damage(before, start)
        return f"{posixpath.basename(path)} at {start} has its older {len(before)} bytes"

    def _victim(self) -> tuple[str, Medium]:
        return self._chance.pick(self._damageable())

    def _damageable(self) -> list[tuple[str, Medium]]:
        """Return the files that damage may strike: not the witness, which only
        matters when a second thing goes wrong."""
        return [
            (path, medium)
            for path, medium in sorted(self._names.items())
            if medium.durable and not path.endswith(".head")
        ]

    def backup(self) -> dict[str, Medium]:
        """Return a copy of the whole disk as it is at rest."""
        return {path: medium.copy() for path, medium in self._names.items()}

    def restore(self, backup: dict[str, Medium]) -> None:
        """Put a backup in the place of everything."""
        self._names = backup
        self._kept = dict(backup)
        self._pending.clear()

    def heal(self) -> None:
        """Let nothing fail any more."""
        self.fuse = self.room = self.sync_failed = None
        self.sync_fails = self.write_fails = self.read_fails = 0.0


class SimulatedFile:
    """An open file beside the databases."""

    def __init__(self, disk: SimulatedDisk, medium: Medium) -> None:
        self._disk = disk
        self._medium = medium
        self._life = OWNER.get()

    def size(self) -> int:
        """Return its length."""
        self._disk.guard(self._life)
        return len(self._medium.content)

    def write(self, data: bytes, offset: int) -> None:
        """Write bytes at a place."""
        self._disk.write_medium(self._life, self._medium, data, offset)

    def sync(self) -> None:
        """Return when its content is durable."""
        self._disk.sync_medium(self._life, self._medium)

    def close(self) -> None:
        """Let go of it."""
