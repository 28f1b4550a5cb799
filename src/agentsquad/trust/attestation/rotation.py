"""Rotation: a log's key is replaced, and the old one says by which.

Each link is a note that a key signed last: how many events the log had then,
and which key follows. From any key of the chain one comes to the present one;
a replaced key signs no head above its limit. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger.note import Check, Signer, VerifierKey, open_note, sign
from agentsquad.trust.attestation.contract import KeyChainError

TAG = "agentsquad.dev/key/v1"


class Link(msgspec.Struct, frozen=True):
    """One replacement: the key that was replaced, and its note about the
    next."""

    old: str
    note: str


class Said(msgspec.Struct, frozen=True):
    """What a link says: the largest head its key signed, and which key
    follows."""

    limit: int
    new: VerifierKey


def link(signer: Signer, limit: int, new: VerifierKey) -> Link:
    """Return what a key signs last."""
    return Link(
        signer.key.encode(), sign(f"{TAG}\n{limit}\n{new.encode()}\n", signer).encode().decode()
    )


def read(one: Link, check: Check) -> Said:
    """Return what a link says; KeyChainError when its key did not sign it."""
    try:
        text = open_note(one.note.encode(), [VerifierKey.parse(one.old)], check).text
        tag, limit, new, rest = text.split("\n")
        said = Said(int(limit), VerifierKey.parse(new))
    except (SquadError, ValueError) as error:
        raise KeyChainError(
            "a key that was replaced did not sign which one follows it",
            hint="restore keys/log.keys from a backup",
        ) from error
    if (tag, rest) != (TAG, "") or str(said.limit) != limit or said.limit < 0:
        raise KeyChainError("a link between keys is of something else")
    return said


def limits(key: VerifierKey, links: Sequence[Link], check: Check) -> dict[VerifierKey, int | None]:
    """Return the keys of a log, newest first, with the largest head each may
    sign; the present one may sign any.

    KeyChainError when the links do not lead to it.
    """
    found: dict[VerifierKey, int | None] = {key: None}
    following, limit = key, None
    for one in reversed(links):
        said = read(one, check)
        if said.new != following:
            raise KeyChainError(
                "the keys that were replaced do not lead to the present one",
                hint="restore keys/log.keys and keys/log.key from the same backup",
            )
        following = VerifierKey.parse(one.old)
        limit = said.limit if limit is None else min(limit, said.limit)
        found[following] = limit
    return found


def unrecorded(links: Iterable[Link], recorded: Iterable[str]) -> list[Link]:
    """Return the links whose notes are not in the log yet, oldest first."""
    known = set(recorded)
    return [one for one in links if one.note not in known]
