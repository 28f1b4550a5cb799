"""Snapshots: a state with the place in the log it belongs to; a cache, never a
source.

A snapshot is used only when it is whole, of the asked name and version, and the
log still has the root it had at that place; otherwise it is ignored and the
state is folded from the first event. So a stale or damaged snapshot costs time
and can never win over the log.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.ledger.contract import RecordStore
from agentsquad.runtime.ledger.merkle import TileNodes, root_at


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A state after the event `seq` of a log with root `root` (hex) there."""

    name: str
    version: int
    seq: int
    root: str
    state: Any
    digest: str


async def take(name: str, version: int, state: Any, seq: int, log: RecordStore) -> bytes:
    """Return a snapshot of a JSON state that was folded up to `seq`."""
    root = await _root(seq, log)
    if root is None:
        raise InvalidError(
            f"no snapshot at {seq}: the log is shorter",
            code="ledger.snapshot",
            hint="give the seq of the last event that was folded",
        )
    body = {"name": name, "version": version, "seq": seq, "root": root.hex(), "state": state}
    return canonical.dumps(body | {"digest": _digest(body)})


async def restore(
    data: bytes | None, name: str, version: int, log: RecordStore
) -> tuple[int, Any] | None:
    """Return (seq, state) to continue folding from; None to start at the first
    event.
    """
    if data is None:
        return None
    try:
        found = msgspec.convert(canonical.loads(data), Snapshot)
    except (InvalidError, msgspec.ValidationError):
        return None
    body = {
        "name": found.name,
        "version": found.version,
        "seq": found.seq,
        "root": found.root,
        "state": found.state,
    }
    if (found.name, found.version, found.digest) != (name, version, _digest(body)):
        return None
    root = await _root(found.seq, log)
    return (found.seq, found.state) if root is not None and root.hex() == found.root else None


def _digest(body: dict[str, Any]) -> str:
    return sha256(canonical.dumps(body)).hexdigest()


async def _root(seq: int, log: RecordStore) -> bytes | None:
    head = await log.head()
    if not 0 <= seq <= head.size:
        return None
    return head.root if seq == head.size else root_at(seq, TileNodes(log, seq))
