"""Blob references: large texts leave a payload and are found again.

An event should stay small, since it is read whenever its stream is. What is
larger than `TEXT_SIZE_MAX` is stored once under its digest and referred to.
"""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.ledger.contract import DamagedError

TEXT_SIZE_MAX = 8 * 1024
BLOB = "$blob"
TEXT = "text/plain"


async def externalise(value: Any, blobs: BlobStore, *, size_max: int = TEXT_SIZE_MAX) -> Any:
    """Return the value with each text of more than `size_max` bytes replaced by
    a reference to a blob.
    """
    if isinstance(value, str):
        if len(value) * 4 <= size_max:
            return value
        data = value.encode()
        return value if len(data) <= size_max else await blobs.put(data, TEXT)
    if isinstance(value, dict):
        return {
            name: await externalise(item, blobs, size_max=size_max) for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [await externalise(item, blobs, size_max=size_max) for item in value]
    return value


async def resolve(value: Any, blobs: BlobStore) -> Any:
    """Return the value with each reference to a text replaced by the text.

    References to other media stay references. Raises MissingError for a text
    that is not there, DamagedError for one that is not what was stored.
    """
    if isinstance(value, dict):
        if is_reference(value) and value["media_type"] == TEXT:
            data = await blobs.get(value[BLOB])
            if len(data) != value["size"]:
                raise DamagedError(f"blob {value[BLOB]} has {len(data)} bytes, not {value['size']}")
            return data.decode()
        return {name: await resolve(item, blobs) for name, item in value.items()}
    if isinstance(value, list):
        return [await resolve(item, blobs) for item in value]
    return value


def is_reference(value: Any) -> bool:
    """Say whether a value refers to a blob."""
    return isinstance(value, dict) and value.keys() == {BLOB, "size", "media_type"}


def references(value: Any) -> set[str]:
    """Return the digests of all blobs a value refers to."""
    if is_reference(value):
        return {str(value[BLOB])}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(references(item) for item in items))
