"""Files: blobs as files named by their digest, written once and checked
whenever they are read.
"""

from __future__ import annotations

import asyncio
import errno
import os.path
import re
from contextlib import suppress
from hashlib import sha256
from typing import Any

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.runtime.ledger.adapters.disk import SYSTEM
from agentsquad.runtime.ledger.contract import (
    BlobMissingError,
    DamagedError,
    FullError,
    PoisonedError,
    ReadFailedError,
)
from agentsquad.runtime.ledger.disk import Disk

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class FileBlobStore:
    """A folder of blobs, `ab/cdef…`; a blob is there whole and durable, or not
    at all.
    """

    def __init__(self, folder: str, disk: Disk = SYSTEM) -> None:
        self._folder = folder
        self._disk = disk

    async def put(
        self, data: bytes, media_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Store bytes and return their reference; storing them again costs a
        look.
        """
        digest = await asyncio.to_thread(self._put, data)
        return {"$blob": digest, "size": len(data), "media_type": media_type}

    async def get(self, digest: str) -> bytes:
        """Return the bytes; DamagedError when they are not those that were
        stored.
        """
        return await asyncio.to_thread(self._get, digest)

    async def digests(self) -> list[str]:
        """Return the digests of all blobs."""
        return await asyncio.to_thread(self._digests)

    async def delete(self, digest: str) -> None:
        """Overwrite and remove the bytes; unknown digests are ignored."""
        await asyncio.to_thread(self._delete, self._path(digest))

    def _digests(self) -> list[str]:
        found = []
        try:
            for folder in self._disk.folders(self._folder):
                if len(folder) == 2:
                    inside = self._disk.names(os.path.join(self._folder, folder))
                    found += [f"sha256:{folder}{name}" for name in inside]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ReadFailedError(f"the blobs cannot be listed: {error.strerror}") from error
        return sorted(digest for digest in found if _DIGEST.fullmatch(digest))

    def _put(self, data: bytes) -> str:
        digest = digest_bytes(data)
        path = self._path(digest)
        if not self._holds(path, digest):
            try:
                self._write(path, data)
            except OSError as error:
                raise _write_error(error) from error
        return digest

    def _get(self, digest: str) -> bytes:
        try:
            data = self._disk.read(self._path(digest))
        except FileNotFoundError:
            raise BlobMissingError(f"there is no blob {digest!r}") from None
        except OSError as error:
            raise ReadFailedError(f"blob {digest} cannot be read: {error.strerror}") from error
        if digest_bytes(data) != digest:
            raise DamagedError(
                f"blob {digest} is damaged",
                hint="restore it from a backup",
                details={"digest": digest},
            )
        return data

    def _delete(self, path: str) -> None:
        try:
            file = self._disk.open(path)
            try:
                file.write(b"\0" * file.size(), 0)
                file.sync()
            finally:
                file.close()
            self._disk.remove(path)
            self._disk.sync_folder(os.path.dirname(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise _write_error(error) from error

    def _path(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise BlobMissingError(
                f"{digest!r:.80} is not a blob's digest", hint="expected sha256: and 64 hex digits"
            )
        name = digest.removeprefix("sha256:")
        return os.path.join(self._folder, name[:2], name[2:])

    def _holds(self, path: str, digest: str) -> bool:
        """Say whether the blob is there and whole; a damaged one is written
        again.
        """
        try:
            return "sha256:" + sha256(self._disk.read(path)).hexdigest() == digest
        except OSError:
            return False

    def _write(self, path: str, data: bytes) -> None:
        """Write a file so that it is either whole and durable or not there."""
        folder = os.path.dirname(path)
        disk = self._disk
        disk.make_folder(folder)
        temporary = disk.aside(path)
        try:
            disk.write_new(temporary, data)
            disk.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                disk.remove(temporary)
            raise
        disk.sync_folder(folder)


def _write_error(error: OSError) -> SquadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FullError(hint="free some space, then try again", private=str(error))
    return PoisonedError(
        "a blob could not be written",
        hint="look at the disk and permissions",
        private=str(error),
    )
