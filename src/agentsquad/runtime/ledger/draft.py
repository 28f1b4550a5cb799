"""Draft: a new event made ready for the log, lacking only its place.

Everything that can be refused or is slow is done here, in the caller's own
turn: validation, sealing, canonical encoding, the salted digest. What remains
for the commit cannot fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from agentsquad.kernel.canonical import dumps, dumps_and_read
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.contract import EventInvalidError, KeyRing
from agentsquad.runtime.ledger.header import quote
from agentsquad.runtime.ledger.sealing import MARK, SALT_SIZE, SEALED, seal

NAME_LENGTH_MAX = 512
PAYLOAD_SIZE_MAX = 16 * 1024 * 1024
_POOL_SIZE = 256 * SALT_SIZE


class Draft(msgspec.Struct, gc=False):
    """An event without `seq`, `stream_seq`, `prev` and `at`; `read` is the
    payload as it will be read.
    """

    event: NewEvent
    salt: bytes
    payload: bytes
    read: Any
    payload_digest: str
    quoted_stream: str
    quoted_type: str
    quoted_actor: str
    quoted_correlation: str

    def header(self, *, at: str, prev: str | None, seq: int, stream_seq: int) -> bytes:
        """Return the canonical JSON of the header at a place.

        Written by hand for speed from parts escaped before; a property test
        holds it equal to `kernel.canonical.dumps`.
        """
        event = self.event
        cause = "null" if event.cause is None else event.cause
        link = "null" if prev is None else f'"{prev}"'
        return (
            f'{{"actor":{self.quoted_actor},"at":"{at}","cause":{cause},'
            f'"correlation":{self.quoted_correlation},"payload_digest":"{self.payload_digest}",'
            f'"prev":{link},"seq":{seq},"stream":{self.quoted_stream},"stream_seq":{stream_seq},'
            f'"type":{self.quoted_type},"version":{event.version}}}'
        ).encode()


class Drafter:
    """Makes drafts; draws salts in bulk, since asking the system for chance is
    slow.
    """

    def __init__(self, entropy: Entropy, keyring: KeyRing) -> None:
        self._entropy = entropy
        self._keyring = keyring
        self._pool = b""
        self._used = 0

    def draft(self, event: NewEvent) -> Draft:
        """Return the draft of an event; InvalidError says what is wrong with
        it.
        """
        stream, kind, actor = _checked(event)
        plain, read = dumps_and_read(event.payload)
        payload = plain
        if event.personal:
            sealed = seal(event.payload, event.personal, self._keyring.encrypt, self._entropy.token)
            payload = dumps(sealed)
        if len(payload) > PAYLOAD_SIZE_MAX:
            raise EventInvalidError(
                f"the payload of {event.type!r} has {len(payload)} bytes",
                hint=f"at most {PAYLOAD_SIZE_MAX}: store large values as blobs",
            )
        if MARK in plain:
            raise EventInvalidError(
                f"the payload of {event.type!r} holds the reserved key {SEALED!r}",
                hint="name personal values in `personal` instead",
            )
        salt = self._salt()
        return Draft(
            event,
            salt,
            payload,
            read,
            "sha256:" + sha256(salt + payload).hexdigest(),
            stream,
            kind,
            actor,
            "null" if event.correlation is None else quote(event.correlation),
        )

    def _salt(self) -> bytes:
        start = self._used
        if start == len(self._pool):
            self._pool, start = self._entropy.token(_POOL_SIZE), 0
        self._used = start + SALT_SIZE
        return self._pool[start : self._used]


def _checked(event: NewEvent) -> tuple[str, str, str]:
    """Return stream, type and actor as canonical JSON; EventInvalidError when
    the event cannot be written.
    """
    try:
        names = _name(event.stream), _name(event.type), _name(event.actor)
    except (TypeError, ValueError):
        raise EventInvalidError(
            f"stream {event.stream!r:.80}, type {event.type!r:.80} and actor {event.actor!r:.80}"
            " must be names",
            hint=f"give each 1 to {NAME_LENGTH_MAX} characters",
        ) from None
    if event.correlation is not None and not isinstance(event.correlation, str):
        raise EventInvalidError("the correlation must be a string or null")
    if not isinstance(event.payload, (dict, Mapping)):
        raise EventInvalidError(
            f"the payload of {event.type!r} is {type(event.payload).__name__}, not an object"
        )
    if not _counted(event.version) or not (event.cause is None or _counted(event.cause)):
        raise EventInvalidError(
            f"version {event.version!r} and cause {event.cause!r} must be whole numbers from 1"
        )
    return names


@lru_cache(maxsize=2048)
def _name(text: str) -> str:
    """Return a name as canonical JSON; ValueError when it is none."""
    if not (isinstance(text, str) and 0 < len(text) <= NAME_LENGTH_MAX and "\0" not in text):
        raise ValueError(text)
    return dumps(text).decode()


def _counted(number: int) -> bool:
    return type(number) is int and 1 <= number < 2**53
