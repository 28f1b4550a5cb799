"""Heads: signing the log's head, and never one that forgets what was signed.

Every question about growth is asked here: does the log extend the head it was
last signed at, the heads a witness keeps, the heads recorded in the log itself?
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from agentsquad.kernel.errors import IntegrityError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.ledger.checkpoint import Checkpoint, extends, split_witnessed
from agentsquad.runtime.ledger.contract import RecordStore
from agentsquad.runtime.ledger.merkle import TileNodes, consistency_proof
from agentsquad.runtime.ledger.note import Note, VerifierKey, open_note, sign
from agentsquad.trust.attestation.contract import (
    CHECKPOINTED,
    ROTATED,
    ForkedError,
    KeyChainError,
    Notary,
    OriginError,
)
from agentsquad.trust.attestation.rotation import Link, limits, unrecorded

STREAM = "log"


class LogSigner:
    """The notary as a signer of notes."""

    def __init__(self, notary: Notary) -> None:
        self._notary = notary
        self.key = VerifierKey.parse(notary.key())
        self.links = [Link(*one) for one in notary.links()]
        self._limits = limits(self.key, self.links, self._check)

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a message."""
        return self._notary.sign(message)

    def open(self, note: bytes) -> Note:
        """Return a head that a key of this log signed while it was the log's;
        IntegrityError for any other."""
        found = open_note(note, self._limits, self._check)
        by = found.signatures[0].key_id
        limit = next(most for key, most in self._limits.items() if key.key_id == by)
        if limit is not None and Checkpoint.of(found).size > limit:
            raise KeyChainError(
                f"a head of more than {limit} events is signed by a key that was replaced then",
                hint="somebody may have the old key: trust only heads by the present one",
            )
        return found

    def _check(self, key: VerifierKey, message: bytes, signature: bytes) -> bool:
        return self._notary.check(key.encode(), message, signature)


class SignedHead(msgspec.Struct, frozen=True):
    """A head and the note that signs it."""

    checkpoint: Checkpoint
    note: bytes


async def sign_head(
    store: RecordStore, notary: Notary, kept: Iterable[SignedHead] = ()
) -> SignedHead:
    """Sign the log's head as it stands.

    Raises ForkedError when the log does not extend the head signed last, or one
    of those `kept`: it was rolled back or rewritten since.
    """
    await record_links(store, notary, actor="service:squad", reason="")
    head = await store.head()
    signer = LogSigner(notary)
    checkpoint = Checkpoint(signer.key.name, head.size, head.root)
    last = notary.last()
    for before in [*kept, *([] if last is None else [read_head(last, notary)])]:
        prove_growth(store, before, checkpoint)
    note = sign(checkpoint.text(), signer).encode()
    notary.remember(note)
    return SignedHead(checkpoint, note)


async def record_links(store: RecordStore, notary: Notary, *, actor: str, reason: str) -> int:
    """Write which keys followed which into the log, where that is not there
    yet; return how many events that took."""
    links = LogSigner(notary).links
    if not links:
        return 0
    recorded = [event.payload["note"] for event in await _all(store, ROTATED)]
    events = [
        NewEvent(
            stream=STREAM,
            type=ROTATED,
            payload={"old": one.old, "note": one.note, "reason": reason},
            actor=actor,
        )
        for one in unrecorded(links, recorded)
    ]
    if events:
        await store.append(events)
    return len(events)


async def _all(store: RecordStore, type: str) -> list[Event]:
    found: list[Event] = []
    while events := await store.read_sealed(after=found[-1].seq if found else 0, types=[type]):
        found += events
    return found


async def record_head(
    store: RecordStore, head: SignedHead, *, actor: str, witness: str | None = None
) -> Event:
    """Write a signed head into the log, where the next head covers it."""
    checkpoint = head.checkpoint
    payload = {
        "checkpoint": head.note.decode(),
        "size": checkpoint.size,
        "root": f"sha256:{checkpoint.root.hex()}",
        "witness": witness,
    }
    new = NewEvent(stream=STREAM, type=CHECKPOINTED, payload=payload, actor=actor)
    return (await store.append([new]))[0]


async def recorded_heads(store: RecordStore, notary: Notary) -> list[SignedHead]:
    """Return the heads in the log that its keys signed, oldest first."""
    signer, found = LogSigner(notary), []
    for event in await _all(store, CHECKPOINTED):
        note = event.payload["checkpoint"].encode()
        try:
            found.append(SignedHead(Checkpoint.of(signer.open(note)), note))
        except IntegrityError:
            continue  # by a key that is not known to be this log's
    return found


def read_head(note: bytes, notary: Notary) -> SignedHead:
    """Return a head this log's key signed; IntegrityError for any other."""
    return SignedHead(Checkpoint.of(LogSigner(notary).open(note)), note)


def read_witnessed(data: bytes, notary: Notary) -> list[SignedHead]:
    """Return the heads of a witness file, each signed by this log's key."""
    return [read_head(note, notary) for note in split_witnessed(data)]


def prove_growth(store: RecordStore, old: SignedHead, new: Checkpoint) -> list[bytes]:
    """Return the proof that the log at `new` extends an older head.

    Raises OriginError for a head of another log and ForkedError when the log
    does not extend it.
    """
    before = old.checkpoint
    if before.origin != new.origin:
        raise OriginError(
            f"the head is of {before.origin}, this log is {new.origin}",
            hint="use the witness file of this log, or the key the log had before",
        )
    if before.size > new.size:
        raise _forked(before, f"it has only {new.size} events now")
    proof = consistency_proof(before.size, new.size, TileNodes(store, new.size))
    if not extends(new, before, proof):
        raise _forked(before, "what it held then has been changed")
    return proof


def older(heads: Iterable[SignedHead], than: Checkpoint) -> list[SignedHead]:
    """Return each head below a checkpoint once, oldest first, empty logs left
    out.
    """
    by_note = {head.note: head for head in heads if 0 < head.checkpoint.size < than.size}
    return sorted(by_note.values(), key=lambda head: head.checkpoint.size)


def _forked(before: Checkpoint, why: str) -> ForkedError:
    return ForkedError(
        f"the log does not extend its head of {before.size} events: {why}",
        hint="stop and compare with the backups; nothing is signed until this is resolved",
        details={"size": before.size, "root": before.root.hex()},
    )
