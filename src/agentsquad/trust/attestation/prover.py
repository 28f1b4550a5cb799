"""Prover: gathers a case from the log and writes it.

It shows only what was asked for: personal values stay sealed unless they are
named, and what was erased cannot be shown at all.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import msgspec

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.ledger.contract import KeyRing, RecordStore
from agentsquad.runtime.ledger.merkle import TileNodes, inclusion_proof
from agentsquad.trust.attestation.case import (
    Material,
    blobs_of,
    revisions_of,
    seals_of,
    write_case,
)
from agentsquad.trust.attestation.contract import DisclosureError, Notary
from agentsquad.trust.attestation.heads import (
    LogSigner,
    SignedHead,
    older,
    prove_growth,
    record_head,
    recorded_heads,
    sign_head,
)
from agentsquad.trust.attestation.selection import select

HEADS_MAX = 16


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where a prover finds what it needs; `policies` by revision."""

    store: RecordStore
    blobs: BlobStore
    keyring: KeyRing
    notary: Notary
    policies: dict[str, list[list[Any]]]


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """A case and what is in it."""

    data: bytes
    head: SignedHead
    events: int
    disclosed: int
    blobs: int


async def prove(
    sources: Sources,
    subject: str,
    *,
    actor: str,
    kept: Sequence[SignedHead] = (),
    disclose: Sequence[str] = (),
) -> Proven:
    """Return the case of a run or event.

    `kept` are heads somebody keeps, which the case must extend; `disclose`
    names sealed values to show: a subject, a JSON Pointer, or SEQ and pointer
    written together (12/vendor/name).
    """
    store = sources.store
    selection = await select(store, subject)
    head = await _head(sources, selection.seqs[-1], kept, actor)
    recorded = (await recorded_heads(store, sources.notary))[-HEADS_MAX:]
    before = older([*recorded, *kept], head.checkpoint)
    nodes = TileNodes(store, head.checkpoint.size)
    records = [await store.record(seq) for seq in selection.seqs]
    payloads = {record.seq: canonical.loads(record.payload) for record in records}
    signer = LogSigner(sources.notary)
    material = Material(
        links=signer.links,
        about=selection.about,
        complete=selection.complete,
        head=head,
        older=[(one, prove_growth(store, one, head.checkpoint)) for one in before],
        records=[
            (record, inclusion_proof(record.seq - 1, head.checkpoint.size, nodes))
            for record in records
        ],
        disclosed=_disclose(sources.keyring, payloads, disclose),
        blobs=await _blobs(sources.blobs, payloads),
        policies=_policies(sources.policies, payloads),
    )
    return Proven(
        data=write_case(material, signer, verifier()),
        head=head,
        events=len(records),
        disclosed=len(material.disclosed),
        blobs=len(material.blobs),
    )


def verifier() -> bytes:
    """Return the script that travels with every case."""
    return files("agentsquad.trust.attestation").joinpath("verify.py").read_bytes()


async def _head(sources: Sources, seq: int, kept: Sequence[SignedHead], actor: str) -> SignedHead:
    """Return a recorded head that covers everything, or sign and record one."""
    needed = max([seq, *(head.checkpoint.size for head in kept)])
    for head in reversed(await recorded_heads(sources.store, sources.notary)):
        if head.checkpoint.size >= needed:
            for before in kept:
                prove_growth(sources.store, before, head.checkpoint)
            return head
    head = await sign_head(sources.store, sources.notary, kept)
    await record_head(sources.store, head, actor=actor)
    return head


def _disclose(
    keyring: KeyRing, payloads: dict[int, Any], wanted: Sequence[str]
) -> list[dict[str, Any]]:
    seals = [
        (seq, at, sealed)
        for seq, payload in payloads.items()
        for at, sealed in seals_of(payload).items()
    ]
    shown: dict[tuple[int, str], dict[str, Any]] = {}
    for name in wanted:
        matching = [
            (seq, at, sealed)
            for seq, at, sealed in seals
            if name in (at, f"{seq}{at}", sealed["subject"])
        ]
        if not matching:
            raise DisclosureError(
                f"nothing sealed in this case is called {name!r}",
                hint="name a subject (person:4711), a pointer (/vendor/name) or "
                "an event's pointer (12/vendor/name)",
            )
        for seq, at, sealed in matching:
            shown[seq, at] = {"seq": seq, "pointer": at, **_open(keyring, sealed, f"{seq}{at}")}
    return [shown[place] for place in sorted(shown)]


def _open(keyring: KeyRing, sealed: Any, where: str) -> dict[str, Any]:
    inside = keyring.decrypt(sealed["subject"], base64.b64decode(sealed["box"]))
    if inside is None:
        raise DisclosureError(
            f"the value at {where} was erased", hint="make the case without disclosing it"
        )
    content = canonical.loads(inside)
    return {"salt": content["salt"], "value": content["value"]}


async def _blobs(store: BlobStore, payloads: dict[int, Any]) -> dict[str, bytes]:
    found = {}
    for digest in sorted(set().union(*map(blobs_of, payloads.values()))):
        try:
            found[digest] = await store.get(digest)
        except MissingError:
            continue  # erased or retired: the verifier counts it as absent
    return found


def _policies(
    known: dict[str, list[list[Any]]], payloads: dict[int, Any]
) -> dict[str, list[list[Any]]]:
    named = set().union(*map(revisions_of, payloads.values()))
    return {revision: texts for revision, texts in known.items() if revision in named}
