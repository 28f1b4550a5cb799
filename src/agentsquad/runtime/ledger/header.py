"""The header of an event: eleven fields as canonical JSON, the leaf of the
tree.

Read here, written by `draft`; apart because its bytes are evidence and its
field order is the format.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

import msgspec

from agentsquad.kernel.canonical import dumps
from agentsquad.runtime.ledger.contract import DamagedError


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A header as values, in the order of its canonical keys."""

    actor: str
    at: str
    cause: int | None
    correlation: str | None
    payload_digest: str
    prev: str | None
    seq: int
    stream: str
    stream_seq: int
    type: str
    version: int


_decode = msgspec.json.Decoder(Header).decode


@lru_cache(maxsize=2048)
def quote(text: str) -> str:
    """Return a text as canonical JSON; InvalidError `canonical.text` for a lone
    surrogate.
    """
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return dumps(text).decode()


def parse(data: bytes, seq: int) -> Header:
    """Read a stored header; DamagedError when it is not one, or belongs
    elsewhere than at `seq`.
    """
    try:
        header = _decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DamagedError(
            f"event {seq}: the header is not readable", details={"seq": seq}, private=str(error)
        ) from None
    if header.seq != seq:
        raise DamagedError(
            f"event {seq}: the header says it is event {header.seq}", details={"seq": seq}
        )
    return header


def leaf_of(header: bytes) -> bytes:
    """Return SHA-256(0x00 || header)."""
    return sha256(b"\x00" + header).digest()
