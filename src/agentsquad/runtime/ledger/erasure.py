"""Erasure: who is meant, what was sealed about them, and which blobs hold it
too.

The log itself needs only the key destroyed. Blobs are files as they came in,
with the same texts unsealed, so those that hold one are removed; their digests
stay in the log and every proof still verifies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentsquad.kernel.pointer import get, walk
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.ledger.contract import SUBJECT_NAMED, Ledger

_BATCH = 1000
_TEXT_MIN = 3


async def subjects_named(ledger: Ledger, name: str) -> list[str]:
    """Return the subjects that a person's own text, such as a name, stands
    for."""
    found = []
    after = 0
    while batch := await ledger.store.read(after=after, limit=_BATCH, types=[SUBJECT_NAMED]):
        for event in batch:
            if isinstance(event.payload, Mapping) and event.payload.get("name") == name:
                found.append(event.stream.removeprefix("subject/"))
        after = batch[-1].seq
    return found


async def texts_of(ledger: Ledger, subject: str) -> set[str]:
    """Return the texts sealed under a subject: the name if known, else all."""
    named: set[str] = set()
    texts: set[str] = set()
    after = 0
    while sealed := await ledger.store.read_sealed(after=after, limit=_BATCH):
        opened = await ledger.store.read(after=after, limit=_BATCH)
        for closed, event in zip(sealed, opened, strict=True):
            for pointer in _places(closed.payload, subject):
                value = get(event.payload, pointer)
                if isinstance(value, str) and len(value) >= _TEXT_MIN:
                    texts.add(value)
                    if event.type == SUBJECT_NAMED:
                        named.add(value)
        after = sealed[-1].seq
    return named or texts


def _places(payload: Any, subject: str) -> Iterable[str]:
    for pointer, leaf in walk(payload):
        at, found, rest = pointer.rpartition("/$sealed/subject")
        if found and not rest and leaf == subject:
            yield at


async def remove_blobs(blobs: BlobStore, texts: Iterable[str]) -> list[str]:
    """Remove every blob that holds one of the texts; return their digests."""
    needles = {text.encode(code, "ignore") for text in texts for code in ("utf-8", "latin-1")}
    needles.discard(b"")
    removed = []
    for digest in await blobs.digests() if needles else ():
        data = await blobs.get(digest)
        if any(needle in data for needle in needles):
            await blobs.delete(digest)
            removed.append(digest)
    return removed
