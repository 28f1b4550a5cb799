"""Draft: a new event made ready for the log, lacking only its place.

Everything that can be refused is done here, in the caller's own turn:
validation, sealing, canonical encoding. What remains for the commit, hashes and
headers, cannot fail; they are made there for all events at once (`placing`),
which is twice as fast as one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from agentsquad.kernel.canonical import dumps, dumps_and_read
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import Entropy
from agentsquad.runtime.ledger.contract import EventInvalidError, KeyRing
from agentsquad.runtime.ledger.header import quote
from agentsquad.runtime.ledger.sealing import MARK, SALT_SIZE, SEALED, seal

NAME_LENGTH_MAX = 512
NAMES_MAX = 4096  # names of streams, types, actors that are kept as they are written
PAYLOAD_SIZE_MAX = 16 * 1024 * 1024
_POOL_SIZE = 256 * SALT_SIZE
_COUNT_END = 2**53


class Draft(msgspec.Struct, gc=False):
    """An event without `seq`, `stream_seq`, `prev` and `at`; `read` is the
    payload as it will be read, `names` are stream, type, actor and correlation
    as canonical JSON.
    """

    event: NewEvent
    salt: bytes
    payload: bytes
    read: Any
    names: tuple[str, str, str, str]


class Drafter:
    """Makes drafts; draws salts in bulk, since asking the system for chance is
    slow.
    """

    def __init__(self, entropy: Entropy, keyring: KeyRing) -> None:
        self._entropy = entropy
        self._keyring = keyring
        self._pool = b""
        self._used = 0
        self._names: dict[tuple[str, str, str, str | None], tuple[str, str, str, str]] = {}

    def draft(self, event: NewEvent) -> Draft:
        """Return the draft of an event; InvalidError says what is wrong with
        it.
        """
        called = (event.stream, event.type, event.actor, event.correlation)
        names = self._names.get(called)
        if names is None:
            names = _named(*called)
            if len(self._names) >= NAMES_MAX:
                self._names.clear()
            self._names[called] = names
        version, cause = event.version, event.cause
        if not (
            type(event.payload) is dict
            and type(version) is int
            and 0 < version < _COUNT_END
            and (cause is None or (type(cause) is int and 0 < cause < _COUNT_END))
        ):
            _check(event)
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
        start = self._used
        if start == len(self._pool):
            self._pool, start = self._entropy.token(_POOL_SIZE), 0
        self._used = end = start + SALT_SIZE
        return Draft(event, self._pool[start:end], payload, read, names)


def _named(
    stream: str, kind: str, actor: str, correlation: str | None
) -> tuple[str, str, str, str]:
    """Return them as canonical JSON; EventInvalidError when one cannot be
    written.
    """
    try:
        names = _name(stream), _name(kind), _name(actor)
    except (TypeError, ValueError):
        raise EventInvalidError(
            f"stream {stream!r:.80}, type {kind!r:.80} and actor {actor!r:.80} must be names",
            hint=f"give each 1 to {NAME_LENGTH_MAX} characters",
        ) from None
    if correlation is not None and not isinstance(correlation, str):
        raise EventInvalidError("the correlation must be a string or null")
    return *names, "null" if correlation is None else quote(correlation)


def _check(event: NewEvent) -> None:
    """Raise EventInvalidError when what is no name cannot be written."""
    if not isinstance(event.payload, (dict, Mapping)):
        raise EventInvalidError(
            f"the payload of {event.type!r} is {type(event.payload).__name__}, not an object"
        )
    version, cause = event.version, event.cause
    if not (type(version) is int and 0 < version < _COUNT_END) or not (
        cause is None or (type(cause) is int and 0 < cause < _COUNT_END)
    ):
        raise EventInvalidError(
            f"version {event.version!r} and cause {event.cause!r} must be whole numbers from 1"
        )


@lru_cache(maxsize=2048)
def _name(text: str) -> str:
    """Return a name as canonical JSON; ValueError when it is none."""
    if not (isinstance(text, str) and 0 < len(text) <= NAME_LENGTH_MAX and "\0" not in text):
        raise ValueError(text)
    return quote(text)
