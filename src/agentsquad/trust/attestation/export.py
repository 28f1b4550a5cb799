"""Export: the log as a folder in the C2SP tlog-tiles layout, readable by
others.

Only headers leave: they hold no payloads, so an export can be published. Full
tiles never change, so exporting again writes what is new and then the
checkpoint, last, so that a reader never sees a head without its tiles.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentsquad.runtime.ledger.contract import RecordStore
from agentsquad.runtime.ledger.merkle import TILE_WIDTH
from agentsquad.runtime.ledger.tiles import encode_bundle, entries_path, tile_path, tiles_at
from agentsquad.trust.attestation.contract import Files, Notary
from agentsquad.trust.attestation.heads import SignedHead, read_head, sign_head

CHECKPOINT_FILE = "checkpoint"
KEY_FILE = "log.vkey"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote."""

    head: SignedHead
    written: int
    known: int


async def export(
    store: RecordStore,
    notary: Notary,
    files: Files,
    folder: str,
    progress: Callable[[int, int], None],
) -> Exported:
    """Bring a folder up to the log's head; `progress` is told (done, total).

    Raises ForkedError when the folder holds a head the log does not extend.
    """
    present = files.read(f"{folder}/{CHECKPOINT_FILE}")
    before = [] if present is None else [read_head(present, notary)]
    head = await sign_head(store, notary, before)
    size, known = head.checkpoint.size, before[0].checkpoint.size if before else 0
    todo = list(tiles_at(size, known))
    for done, (level, index, width) in enumerate(todo):
        progress(done, len(todo))
        if level == 0:
            records = await store.read_records(after=index * TILE_WIDTH, limit=width)
            bundle = encode_bundle([record.header for record in records])
            files.write(f"{folder}/{entries_path(index, width)}", bundle, public=True)
        tile = store.tile(level, index, width)
        files.write(f"{folder}/{tile_path(level, index, width)}", tile, public=True)
    files.write(f"{folder}/{KEY_FILE}", f"{notary.key()}\n".encode(), public=True)
    files.write(f"{folder}/{CHECKPOINT_FILE}", head.note, public=True)
    return Exported(head=head, written=len(todo), known=known)
