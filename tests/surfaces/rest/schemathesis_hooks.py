"""What Schemathesis does not know by itself: MessagePack."""

from __future__ import annotations

from typing import Any

import msgspec
import schemathesis


@schemathesis.serializer("application/msgpack")
def pack(context: Any, value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


@schemathesis.deserializer("application/msgpack")
def unpack(context: Any, response: Any) -> Any:
    return msgspec.msgpack.decode(response.content)
