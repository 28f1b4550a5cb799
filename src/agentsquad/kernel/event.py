"""Event: a fact in the past tense, never changed.

The header is what the Merkle tree commits to; the payload lies beside it and is
bound by a salted digest, so it can be erased while every proof still verifies
(ARCHITECTURE section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact on its way to the log.

    `payload` is a JSON object. `personal` maps the JSON Pointer (RFC 6901) of
    each personal value in it to the subject it is about, for example
    {"/vendor/contact": "person:4711"}; those values are committed to one by one
    and stored encrypted under the subject's key.
    """

    stream: str
    type: str
    payload: Mapping[str, Any]
    actor: str = "service:squad"
    cause: int | None = None
    correlation: str | None = None
    version: int = 1
    personal: Mapping[str, str] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact as the log holds it.

    `seq` is global and gap-free from 1, `stream_seq` the same within the
    stream. `at` is a hybrid logical clock reading "<RFC 3339 UTC with
    milliseconds>/<counter>". `payload` is None when it was erased; a personal
    value whose key was dropped reads {"$erased": "sha256:…"}.
    """

    seq: int
    stream: str
    stream_seq: int
    type: str
    version: int
    at: str
    actor: str
    cause: int | None
    correlation: str | None
    payload_digest: str
    prev: str | None
    payload: Any

    @property
    def time(self) -> str:
        """The wall-clock part of `at`, RFC 3339."""
        return self.at.partition("/")[0]
