"""What Schemathesis does not know by itself: MessagePack."""

from __future__ import annotations

from typing import Any

import msgspec
import schemathesis


@schemathesis.serializer("application/msgpack")
def pack(context: Any, value: Any) -> bytes:
    return msgspec.msgpack.encode(narrow(value))


def narrow(value: Any) -> Any:
    """Return a value without the integers that MessagePack cannot say."""
    if isinstance(value, dict):
        return {name: narrow(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [narrow(inner) for inner in value]
    wide = isinstance(value, int) and not -(2**63) <= value < 2**64
    return min(float(value), 1e300) if wide else value


@schemathesis.deserializer("application/msgpack")
def unpack(context: Any, response: Any) -> Any:
    return msgspec.msgpack.decode(response.content)
