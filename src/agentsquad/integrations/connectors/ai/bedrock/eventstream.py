"""Event stream: AWS's binary framing, bytes cut anywhere in, whole frames out.

A frame is: total length, length of the headers, CRC-32 of those eight bytes,
headers, payload, CRC-32 of all before it; integers are big-endian. Both checks
are made, since a wrong length read as right would swallow everything after it.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from agentsquad.integrations.connectors.ai.contract import ModelReplyError

PRELUDE = 12
OVERHEAD = 16
SIZE_MAX = 24 * 2**20

# Sizes of header values by type; None is two bytes of length before the value.
_SIZES: dict[int, int | None] = {
    0: 0,
    1: 0,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: None,
    7: None,
    8: 8,
    9: 16,
}
_STRING = 7


class Frame(msgspec.Struct, frozen=True):
    """One message. Of the headers only strings are kept: the protocol uses no
    others.
    """

    headers: dict[str, str]
    payload: bytes


class EventStreamParser:
    """Keeps what is incomplete between two pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> list[Frame]:
        """Return the frames that this piece completes; ModelReplyError when a
        check fails.
        """
        self._buffer += piece
        frames: list[Frame] = []
        while len(self._buffer) >= PRELUDE:
            total, header_size, check = struct.unpack_from(">III", self._buffer)
            if zlib.crc32(self._buffer[:8]) != check:
                raise ModelReplyError("a frame of the event stream has a damaged beginning")
            if not OVERHEAD + header_size <= total <= SIZE_MAX:
                raise ModelReplyError("a frame of the event stream has an impossible length")
            if len(self._buffer) < total:
                break
            frames.append(_read(bytes(self._buffer[:total]), header_size))
            del self._buffer[:total]
        return frames

    @property
    def idle(self) -> bool:
        """Whether the last frame is whole; if not, the stream was cut off."""
        return not self._buffer


def _read(frame: bytes, header_size: int) -> Frame:
    (check,) = struct.unpack_from(">I", frame, len(frame) - 4)
    if zlib.crc32(frame[:-4]) != check:
        raise ModelReplyError("a frame of the event stream is damaged")
    start = PRELUDE + header_size
    try:
        headers = _read_headers(frame[PRELUDE:start])
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ModelReplyError("a frame of the event stream has unreadable headers") from error
    return Frame(headers, frame[start:-4])


def _read_headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name = data[at + 1 : name_end].decode()
        kind = data[name_end]
        at = name_end + 1
        size = _SIZES[kind]
        if size is None:
            (size,) = struct.unpack_from(">H", data, at)
            at += 2
        value = data[at : at + size]
        if len(value) != size:
            raise IndexError("header value")
        if kind == _STRING:
            headers[name] = value.decode()
        at += size
    return headers
