"""Proofs as the server makes them, sound and tampered with, for the browser's
own check.

The verdicts are those of this side's verifiers, so that both sides are held to
the same answer for every one of them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from agentsquad.kernel.canonical import dumps
from agentsquad.kernel.hashing import digest
from agentsquad.runtime.ledger import note
from agentsquad.runtime.ledger.checkpoint import Checkpoint
from agentsquad.runtime.ledger.merkle import (
    Levels,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from agentsquad.runtime.ledger.tiles import tlog_proof
from agentsquad.trust.attestation.adapters.ed25519 import Ed25519Signer, check

FILE = Path(__file__).resolve().parents[2] / "console/src/features/log/proof/vectors.json"
LOG = 70
INCLUDED = ((1, 1), (1, 2), (2, 2), (3, 3), (1, 7), (5, 7), (7, 7), (8, 8), (42, 64), (65, 70))
GROWN = ((0, 5), (1, 2), (3, 7), (4, 7), (7, 7), (8, 13), (13, 64), (33, 70), (64, 70), (69, 70))


def text(value: bytes) -> str:
    """Return bytes as the server tells them."""
    return base64.b64encode(value).decode()


def events() -> list[dict[str, Any]]:
    """Return headers of a small log, some with more than plain letters."""
    before: str | None = None
    found = []
    for seq in range(1, LOG + 1):
        header: dict[str, Any] = {
            "actor": "person:zoë" if seq % 3 else "agent:matcher",
            "at": f"2026-11-24T00:00:{seq % 60:02}.000Z/0000",
            "cause": seq - 1 or None,
            "correlation": "kaakmppc4jf4ebif",
            "payload_digest": digest({"salt": seq}),
            "prev": before,
            "seq": seq,
            "stream": "run/kaakmppc4jf4ebif",
            "stream_seq": seq,
            "type": "step.completed",
            "version": 1,
        }
        before = "sha256:" + leaf_hash(dumps(header)).hex()
        found.append(header)
    return found


def flipped(value: bytes) -> bytes:
    """Return bytes with one bit of the last one changed."""
    return value[:-1] + bytes([value[-1] ^ 1])


def damages(proof: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Return proofs that are a little other than this one."""
    for at, step in enumerate(proof):
        yield [*proof[:at], flipped(step), *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
    yield [*proof, bytes(32)]
    if len(proof) > 1:
        yield [proof[1], proof[0], *proof[2:]]


def inclusion(nodes: Levels, headers: Sequence[bytes], seq: int, size: int) -> list[dict[str, Any]]:
    """Return one proof of a place, and what somebody could make of it."""
    proof, root, header = (
        inclusion_proof(seq - 1, size, nodes),
        root_at(size, nodes),
        headers[seq - 1],
    )
    told = [(header, seq, size, proof, root)]
    told += [(header, seq, size, one, root) for one in damages(proof)]
    told += [
        (header.replace(b"zo", b"zO").replace(b"matcher", b"batcher"), seq, size, proof, root),
        (header, seq + 1, size, proof, root),
        (header, seq, size + 1, proof, root),
        (header, seq, size, proof, flipped(root)),
    ]
    return [
        {
            "header": one.decode(), "seq": at, "size": of, "root": text(top),
            "proof": [text(step) for step in path],
            "valid": verify_inclusion(leaf_hash(one), at - 1, of, path, top),
        }
        for one, at, of, path, top in told
    ]  # fmt: skip


def growth(nodes: Levels, old: int, new: int) -> list[dict[str, Any]]:
    """Return one proof that a log grew, and what somebody could make of it."""
    proof, before, after = (
        consistency_proof(old, new, nodes),
        root_at(old, nodes),
        root_at(new, nodes),
    )
    told = [(old, new, before, after, proof)]
    told += [(old, new, before, after, one) for one in damages(proof)]
    told += [
        (old, new, flipped(before), after, proof),
        (old, new, before, flipped(after), proof),
        (old, new + 1, before, after, proof),
        (old + 1, new, before, after, proof),
    ]
    return [
        {
            "old_size": a, "size": b, "old_root": text(first), "root": text(second),
            "proof": [text(step) for step in path],
            "valid": verify_consistency(a, b, first, second, path),
        }
        for a, b, first, second, path in told
    ]  # fmt: skip


def heads(root: bytes) -> list[dict[str, Any]]:
    """Return signed heads, one right and the others not."""
    signer = Ed25519Signer.named_after_key(bytes(range(32)))
    other = Ed25519Signer(signer.key.name, bytes(range(1, 33)))
    right = note.sign(Checkpoint(signer.key.name, LOG, root).text(), signer)
    [mark] = right.signatures
    forged = note.Signature(mark.name, mark.key_id, flipped(mark.value))
    told = {
        "right": right,
        "another size": note.Note(right.text.replace(f"\n{LOG}\n", f"\n{LOG - 1}\n"), (mark,)),
        "another root": note.Note(Checkpoint(signer.key.name, LOG, flipped(root)).text(), (mark,)),
        "another signature": note.Note(right.text, (forged,)),
        "another key": note.sign(right.text, other),
        "another key of the same number": note.Note(
            right.text, (note.Signature(mark.name, mark.key_id, other.sign(right.text.encode())),)
        ),
    }
    return [
        {
            "name": name, "note": one.encode().decode(), "key": signer.key.encode(),
            "fingerprint": signer.key.fingerprint,
            "valid": any(
                check(signer.key, one.text.encode(), each.value)
                for each in one.signatures if each.key_id == signer.key.key_id
            ),
        }
        for name, one in told.items()
    ]  # fmt: skip


def vectors() -> dict[str, Any]:
    """Return everything the browser has to answer as this side does."""
    told = events()
    headers = [dumps(one) for one in told]
    nodes = Levels(leaf_hash(one) for one in headers)
    root = root_at(LOG, nodes)
    first = heads(root)[0]
    whole = inclusion(nodes, headers, 42, LOG)[0]
    proof = inclusion_proof(41, LOG, nodes)
    return {
        "inclusion": [
            one for seq, size in INCLUDED for one in inclusion(nodes, headers, seq, size)
        ],
        "growth": [one for old, new in GROWN for one in growth(nodes, old, new)],
        "heads": heads(root),
        "event": {
            "event": {**told[41], "payload": None},
            "key": first["key"],
            "proof": {
                "kind": "inclusion", "size": LOG, "root": whole["root"], "proof": whole["proof"],
                "seq": 42, "leaf": text(leaf_hash(headers[41])), "header": headers[41].decode(),
                "tlog_proof": tlog_proof(41, proof, first["note"].encode()).decode(),
            },
        },
        "leaves": [text(leaf_hash(one)) for one in islice(headers, 3)],
    }  # fmt: skip


def written() -> str:
    """Return the file as it should stand."""
    return dumps(vectors()).decode() + "\n"
