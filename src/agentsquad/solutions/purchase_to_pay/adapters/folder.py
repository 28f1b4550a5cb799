"""A folder of this machine as a file source, and another as an outbox.

Files are taken whole: what is hidden, has a temporary name, or is young and
without its end is left for the next time. Documents are written whole or not
at all, and never replaced by others.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from agentsquad.kernel.hashing import digest_bytes
from agentsquad.solutions.purchase_to_pay.contract import (
    FileFound,
    FolderError,
    Listing,
    OutboxConflictError,
)

TEMPORARY = (".part", ".tmp", ".filepart", ".crdownload", ".swp", "~")
OURS = ("master.json", "truth.json")
SETTLE_MS = 2_000
SIZE_MAX = 64 * 1024 * 1024


class DiskFileSource:
    """Reads what partners dropped into a folder."""

    def list(self, folder: str) -> Listing:
        """Return what is there; a file still being written is skipped."""
        root = Path(folder)
        if not root.is_dir():
            raise FolderError(f"no folder {folder!r}", hint="give the folder the files are in")
        found: list[FileFound] = []
        skipped: dict[str, str] = {}
        for path in sorted(root.iterdir()):
            if path.is_dir() or path.name in OURS:
                continue
            why = _unready(path)
            if why:
                skipped[path.name] = why
                continue
            data = path.read_bytes()
            if _unfinished(path, data):
                skipped[path.name] = "still being written"
                continue
            found.append(FileFound(name=path.name, size=len(data), digest=digest_bytes(data)))
        return Listing(files=tuple(found), skipped=skipped)

    def read(self, folder: str, name: str) -> bytes:
        """Return the bytes of one file; names may not leave the folder."""
        root = Path(folder).resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise FolderError(f"no file {name!r} in {folder!r}")
        return path.read_bytes()


def _unready(path: Path) -> str:
    if not path.is_file():
        return "not a file"
    if path.name.startswith("."):
        return "hidden"
    if path.name.endswith(TEMPORARY):
        return "temporary name, still being written"
    if path.stat().st_size > SIZE_MAX:
        return f"larger than {SIZE_MAX} bytes"
    return ""


def _unfinished(path: Path, data: bytes) -> bool:
    """Whether an interchange lacks its end and was touched a moment ago."""
    ended = b"IEA" in data[-400:] or b"ISA" not in data[:200]
    return not ended and time.time() * 1000 - path.stat().st_mtime * 1000 < SETTLE_MS


class DiskOutbox:
    """Writes documents for partners below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, box: str, name: str, data: bytes) -> bool:
        """Write a file whole or not at all; False if the same one was
        there."""
        return put_once(self.root / plain_name(box), plain_name(name), data)

    def holds(self, box: str, name: str) -> bool:
        """Whether a document has left."""
        return (self.root / plain_name(box) / plain_name(name)).is_file()


def plain_name(text: str) -> str:
    """Return text as one safe file name."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in text)
    return name.lstrip(".") or "_"


def put_once(folder: Path, name: str, data: bytes) -> bool:
    """Make a file appear with all its bytes, durably; False if it was there.

    OutboxConflictError if the name is taken by other bytes.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / name
    draft = folder / f".{name}.{os.getpid()}.tmp"
    write_durably(draft, data)
    try:
        os.link(draft, target)
        created = True
    except FileExistsError:
        created = False
    finally:
        draft.unlink()
    sync_folder(folder)
    if not created and target.read_bytes() != data:
        raise OutboxConflictError(
            f"{target.name} has left already with another content",
            hint="what was sent is never replaced",
        )
    return created


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
