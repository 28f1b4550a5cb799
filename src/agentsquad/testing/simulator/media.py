"""Media: what a file is on a disk that can lose power: content in the page
cache, content that is durable, and the writes between them.

A sync makes the pages that were written durable. A power failure keeps a part
of the writes since then, whole or torn at a sector's edge, in any of the ways a
page cache can be written back. After a failed sync the pages are held for clean
though they never reached the disk, as Linux does it.
"""

from __future__ import annotations

from agentsquad.testing.simulator.chance import Chance

SECTOR = 512
PAGE = 4096
CUTS = ("none", "all", "prefix", "pages", "sectors")


def put(content: bytearray, data: bytes, offset: int) -> None:
    """Write into a content; a gap before it is filled with zeros."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Medium:
    """One file's content. A write of None at a place is a cut: the file ends
    there."""

    __slots__ = ("before", "content", "dirty", "durable", "folder", "number")

    def __init__(self, number: int, *, folder: bool = False) -> None:
        self.number = number
        self.folder = folder
        self.content = bytearray()
        self.durable = bytearray()
        self.before: list[tuple[int, bytes]] = []  # what the last syncs wrote over
        self.dirty: list[tuple[int, bytes | None]] = []

    def write(self, data: bytes, offset: int) -> None:
        """Write into the page cache."""
        put(self.content, data, offset)
        self.dirty.append((offset, data))

    def cut(self, size: int) -> None:
        """Make the file so long."""
        if size < len(self.content):
            del self.content[size:]
        else:
            self.content.extend(bytes(size - len(self.content)))
        self.dirty.append((size, None))

    def sync(self) -> None:
        """Make whole pages durable, as they are now."""
        for offset, data in self.dirty:
            self._settle(self.durable, offset, data)
        self.dirty.clear()

    def _settle(self, durable: bytearray, offset: int, data: bytes | None) -> None:
        if data is None:
            self.before = [old for old in self.before if old[0] + len(old[1]) <= offset]
            del durable[offset:]
            durable.extend(self.content[len(durable) : offset])
            return
        start = offset - offset % PAGE
        end = min(-(-(offset + len(data)) // PAGE) * PAGE, len(self.content))
        if start < end:
            fresh, old = bytes(self.content[start:end]), bytes(durable[start:end])
            if end <= len(durable) and fresh != old:
                self.before = [*self.before[-7:], (start, old)]
            put(durable, fresh, start)

    def forget(self) -> None:
        """Hold what was written for clean, as after a sync that failed."""
        self.dirty.clear()

    def lose_power(self, chance: Chance) -> str:
        """Keep some of the unsynced writes, and return how they were chosen."""
        how = chance.pick(CUTS) if self.dirty else "clean"
        self._survive(self.durable, how, chance)
        self.before.clear()
        self.dirty.clear()
        self.content = bytearray(self.durable)
        return how

    def _survive(self, content: bytearray, how: str, chance: Chance) -> None:
        count = len(self.dirty)
        limit = {"none": 0, "all": count}.get(how, chance.below(count + 1))
        size = {"pages": PAGE, "sectors": SECTOR}.get(how)
        limits: dict[int, int] = {}  # how many of the writes each unit has seen
        for index, (offset, data) in enumerate(self.dirty):
            if data is None:
                if index < limit:
                    del content[offset:]
                continue
            if size is None:
                if index < limit:
                    put(content, data, offset)
                continue
            at = offset
            while at < offset + len(data):
                unit = at // size
                end = min((unit + 1) * size, offset + len(data))
                if unit not in limits:
                    limits[unit] = chance.below(count + 1)
                if index < limits[unit]:
                    put(content, data[at - offset : end - offset], at)
                at = end

    def damage(self, change: bytes, offset: int) -> None:
        """Put other bytes on the medium than were written; the page cache holds
        them no more."""
        put(self.durable, change, offset)
        self.content = bytearray(self.durable)

    def copy(self) -> Medium:
        """Return a copy of what is durable, as a backup holds it."""
        twin = Medium(self.number, folder=self.folder)
        twin.durable = bytearray(self.durable)
        twin.content = bytearray(self.durable)
        return twin
