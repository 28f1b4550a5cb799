"""Files: blobs as files named by their digest, written once and checked
whenever they are read.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from hashlib import sha256
from typing import Any

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.runtime.ledger.contract import (
    BlobMissingError,
    DamagedError,
    FullError,
    PoisonedError,
    ReadFailedError,
)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class FileBlobStore:
    """A folder of blobs, `ab/cdef…`; a blob is there whole and durable, or not
    at all.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

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
            for entry in os.scandir(self._folder):
                if entry.is_dir() and len(entry.name) == 2:
                    found += [f"sha256:{entry.name}{name}" for name in os.listdir(entry.path)]
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
                _write(path, data)
            except OSError as error:
                raise _write_error(error) from error
        return digest

    def _get(self, digest: str) -> bytes:
        try:
            with open(self._path(digest), "rb") as file:
                data = file.read()
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

    @staticmethod
    def _delete(path: str) -> None:
        try:
            with open(path, "r+b") as file:
                file.write(b"\0" * os.path.getsize(path))
                file.flush()
                os.fsync(file.fileno())
            os.unlink(path)
            _sync_folder(os.path.dirname(path))
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

    @staticmethod
    def _holds(path: str, digest: str) -> bool:
        """Say whether the blob is there and whole; a damaged one is written
        again.
        """
        try:
            with open(path, "rb") as file:
                return "sha256:" + sha256(file.read()).hexdigest() == digest
        except OSError:
            return False


def _write(path: str, data: bytes) -> None:
    """Write a file so that it is either whole and durable or not there."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
        _sync_folder(os.path.dirname(folder))
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_error(error: OSError) -> SquadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FullError(hint="free some space, then try again", private=str(error))
    return PoisonedError(
        "a blob could not be written",
        hint="look at the disk and permissions",
        private=str(error),
    )
