"""Codec: values as PostgreSQL's binary format has them.

By hand, because each row of a commit passes here: an array of a thousand byte
strings is joined once instead of being converted one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

BYTEA, INT8, INT4, TEXT = 17, 20, 23, 25
BYTEA_ARRAY, INT8_ARRAY, INT4_ARRAY, TEXT_ARRAY = 1001, 1016, 1007, 1009
_HEAD = struct.Struct(">iiiii")
_INT8 = struct.Struct(">q")
_INT4 = struct.Struct(">i")


def int8(value: int) -> bytes:
    """Return an int8."""
    return _INT8.pack(value)


def int4(value: int) -> bytes:
    """Return an int4."""
    return _INT4.pack(value)


def bytes_array(values: Sequence[bytes], kind: int = BYTEA) -> bytes:
    """Return an array of bytea, or of text given as UTF-8."""
    parts = [_HEAD.pack(1, 0, kind, len(values), 1)] if values else [_empty(kind)]
    pack = _INT4.pack
    for value in values:
        parts.append(pack(len(value)))
        parts.append(value)
    return b"".join(parts)


def int8_array(values: Sequence[int]) -> bytes:
    """Return an array of int8."""
    count = len(values)
    if not count:
        return _empty(INT8)
    flat = [8] * (2 * count)
    flat[1::2] = values
    return _HEAD.pack(1, 0, INT8, count, 1) + _pairs("q", count).pack(*flat)


def int4_array(values: Sequence[int]) -> bytes:
    """Return an array of int4."""
    count = len(values)
    if not count:
        return _empty(INT4)
    flat = [4] * (2 * count)
    flat[1::2] = values
    return _HEAD.pack(1, 0, INT4, count, 1) + _pairs("i", count).pack(*flat)


def int8_list(data: bytes) -> list[int]:
    """Return what an array of int8 holds."""
    count = _INT4.unpack_from(data, 12)[0] if len(data) >= _HEAD.size else 0
    return list(_pairs("q", count).unpack_from(data, _HEAD.size)[1::2])


@lru_cache(maxsize=64)
def _pairs(kind: str, count: int) -> struct.Struct:
    return struct.Struct(">" + f"i{kind}" * count)


def _empty(kind: int) -> bytes:
    """Return an array without elements, which has no dimensions."""
    return struct.pack(">iii", 0, 0, kind)


def number(value: bytes | None) -> int:
    """Return an integer of any size."""
    return int.from_bytes(value or b"", "big", signed=True)


def columns(result: Any) -> Iterable[tuple[Any, ...]]:
    """Return the rows of a result, each value as bytes or None."""
    get, width = result.get_value, range(result.nfields)
    return [tuple([get(row, column) for column in width]) for row in range(result.ntuples)]
