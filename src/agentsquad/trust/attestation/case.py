"""Case: one archive that proves what is in it, offline, to anybody.

Pure: takes what was gathered and writes members in one order and one form, so
the same material gives the same bytes. docs/reference/log-format.md says what
each member holds; `verify.py`, which travels inside, checks it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel import canonical, hashing
from agentsquad.runtime.ledger.contract import Record
from agentsquad.runtime.ledger.note import Signer, sign
from agentsquad.runtime.ledger.sealing import SEALED
from agentsquad.trust.attestation.archive import pack
from agentsquad.trust.attestation.heads import SignedHead
from agentsquad.trust.attestation.rotation import Link

FORMAT = "agentsquad.dev/case/v1"


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a case is made of.

    `records` and `older` come with their proofs; `policies` maps a revision to
    its files as [layer, name, text]; `blobs` maps a digest to content.
    """

    about: Mapping[str, str | int]
    complete: Sequence[str]
    head: SignedHead
    older: Sequence[tuple[SignedHead, list[bytes]]]
    records: Sequence[tuple[Record, list[bytes]]]
    links: Sequence[Link] = ()
    disclosed: Sequence[Mapping[str, Any]]
    blobs: Mapping[str, bytes]
    policies: Mapping[str, Sequence[Sequence[Any]]]


def write_case(material: Material, signer: Signer, verifier: bytes) -> bytes:
    """Return the archive; `verifier` is the script that travels with it."""
    members = list(_members(material, verifier))
    chain = [[one.old, one.note] for one in material.links]
    manifest = canonical.dumps(
        {
            **({"rotations": chain} if chain else {}),
            "format": FORMAT,
            "about": material.about,
            "complete": list(material.complete),
            "heads": [
                {"note": head.note.decode(), "proof": _proof(proof)}
                for head, proof in material.older
            ],
            "key": signer.key.encode(),
            "members": [[name, hashing.digest_bytes(data)] for name, data in members],
        }
    )
    note = sign(f"{FORMAT}\n{hashing.digest_bytes(manifest)}\n", signer)
    return pack([("manifest.json", manifest), ("manifest.note", note.encode()), *members])


def _members(material: Material, verifier: bytes) -> Iterator[tuple[str, bytes]]:
    yield "verify.py", verifier
    yield "checkpoint", material.head.note
    yield "events.jsonl", _lines(_event(*pair) for pair in material.records)
    if material.disclosed:
        yield "disclosed.jsonl", _lines(material.disclosed)
    for revision, files in sorted(material.policies.items()):
        yield f"policies/{_plain(revision)}.json", canonical.dumps(files)
    for digest, data in sorted(material.blobs.items()):
        yield f"blobs/{_plain(digest)}", data


def _event(record: Record, proof: list[bytes]) -> dict[str, Any]:
    return {
        "header": record.header.decode(),
        "payload": record.payload.decode(),
        "proof": _proof(proof),
        "salt": record.salt.hex(),
    }


def _lines(values: Any) -> bytes:
    return b"".join(canonical.dumps(value) + b"\n" for value in values)


def _proof(hashes: list[bytes]) -> list[str]:
    return [base64.b64encode(step).decode() for step in hashes]


def _plain(digest: str) -> str:
    return digest.removeprefix("sha256:")


def blobs_of(value: Any) -> set[str]:
    """Return the digests of the blobs a payload refers to."""
    return {found["$blob"] for _, found in _objects(value) if isinstance(found.get("$blob"), str)}


def seals_of(value: Any) -> dict[str, Mapping[str, Any]]:
    """Return the sealed values of a stored payload by JSON Pointer."""
    return {
        at: found[SEALED]
        for at, found in _objects(value)
        if len(found) == 1 and isinstance(found.get(SEALED), dict)
    }


def revisions_of(value: Any) -> set[str]:
    """Return the policy revisions a payload refers to."""
    named = {found.get("revision") for _, found in _objects(value)}
    named |= {found.get("policy") for _, found in _objects(value)}
    return {name for name in named if isinstance(name, str)}


def _objects(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield at, value
        for key, item in value.items():
            step = key.replace("~", "~0").replace("/", "~1")
            yield from _objects(item, f"{at}/{step}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _objects(item, f"{at}/{index}")
