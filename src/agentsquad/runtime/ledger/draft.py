"""Draft: a new event made ready for the log, lacking only its place.

Everything that can be refused or is slow is done here, in the caller's own
turn: validation, sealing, canonical encoding, the salted digest. What remains
for the commit cannot fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from agentsquad.kernel.canonical import dumps
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.contract import EventInvalidError, KeyRing
from agentsquad.runtime.ledger.header import quote
from agentsquad.runtime.ledger.sealing import MARK, SALT_SIZE, SEALED, seal

NAME_LENGTH_MAX = 512
PAYLOAD_SIZE_MAX = 16 * 1024 * 1024
_POOL_SIZE = 256 * SALT_SIZE


class Draft(msgspec.Struct):
    """An event without `seq`, `stream_seq`, `prev` and `at`; `plain` is the
    payload to return.
    """

    event: NewEvent
    salt: bytes
    payload: bytes
    plain: bytes
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
        _check(event)
        plain = payload = dumps(event.payload)
        if event.personal:
            sealed = seal(event.payload, event.personal, self._keyring.ensure, self._entropy.token)
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
            plain,
            "sha256:" + sha256(salt + payload).hexdigest(),
            quote(event.stream),
            quote(event.type),
            quote(event.actor),
            "null" if event.correlation is None else quote(event.correlation),
        )

    def _salt(self) -> bytes:
        start = self._used
        if start == len(self._pool):
            self._pool, start = self._entropy.token(_POOL_SIZE), 0
        self._used = start + SALT_SIZE
        return self._pool[start : self._used]


def _check(event: NewEvent) -> None:
    for what, text in (("stream", event.stream), ("type", event.type), ("actor", event.actor)):
        if not isinstance(text, str) or not 0 < len(text) <= NAME_LENGTH_MAX or "\0" in text:
            raise EventInvalidError(
                f"the {what} {text!r:.80} is not a name",
                hint=f"give 1 to {NAME_LENGTH_MAX} characters",
            )
    if event.correlation is not None and not isinstance(event.correlation, str):
        raise EventInvalidError("the correlation must be a string or null")
    if not isinstance(event.payload, Mapping):
        raise EventInvalidError(
            f"the payload of {event.type!r} is {type(event.payload).__name__}, not an object"
        )
    for what, number in (("version", event.version), ("cause", event.cause)):
        if number is None and what == "cause":
            continue
        if type(number) is not int or not 1 <= number < 2**53:
            raise EventInvalidError(f"the {what} {number!r} is not a whole number from 1")
