"""The actions of attestation: sign the head, prove, export, make a case."""

from __future__ import annotations

import base64
from typing import Annotated, Any, cast

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.runtime.engine import runs
from agentsquad.runtime.ledger.contract import Ledger, RecordStore
from agentsquad.runtime.ledger.merkle import (
    TileNodes,
    consistency_proof,
    inclusion_proof,
    root_at,
)
from agentsquad.runtime.ledger.tiles import tlog_proof
from agentsquad.runtime.policy.contract import CompiledPolicy
from agentsquad.trust.attestation import export as exporting
from agentsquad.trust.attestation import prover
from agentsquad.trust.attestation.contract import Files, Notary
from agentsquad.trust.attestation.heads import (
    LogSigner,
    SignedHead,
    read_witnessed,
    record_head,
    record_links,
    recorded_heads,
    sign_head,
)


class HeadOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A signed head: whose log, how many events, their root, and by
    which key.
    """

    origin: str
    size: int
    root: str
    key: str
    fingerprint: str


class CheckpointInput(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to remember the head besides the log."""

    witness: Annotated[
        str | None,
        msgspec.Meta(
            description="File outside this store that keeps every head, oldest first; "
            "the log must extend the newest one in it.",
            examples=["/mnt/audit/heads"],
        ),
    ] = None


class CheckpointOutput(HeadOutput, frozen=True, kw_only=True):
    """The head that was signed; `witnessed` counts the heads the file keeps."""

    checkpoint: str
    event: int
    witness: str | None = None
    witnessed: int = 0


@action(
    "log.checkpoint",
    effect=Effect.WRITE,
    cli=("log", "checkpoint"),
    examples=("squad log checkpoint --witness /mnt/audit/heads",),
    files={"witness": "in"},
)
async def checkpoint(ctx: Context, input: CheckpointInput) -> CheckpointOutput:
    """Sign the log's head, record it, and hand it to a witness.

    Refuses with exit code 11 when the log does not extend the head signed last
    or the newest head the witness keeps.
    """
    store, notary, files = _store(ctx), _notary(ctx), _files(ctx)
    kept = _witnessed(ctx, input.witness)
    head = await sign_head(store, notary, kept[-1:])
    event = await record_head(store, head, actor=str(ctx.actor), witness=input.witness)
    if input.witness is not None and (not kept or kept[-1].note != head.note):
        files.append(input.witness, head.note + b"\n")
        kept = [*kept, head]
    return CheckpointOutput(
        **_head(head, notary),
        checkpoint=head.note.decode(),
        event=event.seq,
        witness=input.witness,
        witnessed=len(kept),
    )


class RotateInput(msgspec.Struct, frozen=True, kw_only=True):
    """Why, and who is to remember the head by the new key."""

    reason: Annotated[str, msgspec.Meta(description="Why; kept in the log.")]
    witness: Annotated[
        str | None,
        msgspec.Meta(
            description="File outside this store that keeps heads; it gets the last one by the "
            "old key and the first by the new.",
            examples=["/mnt/audit/heads"],
        ),
    ] = None


class RotateOutput(HeadOutput, frozen=True, kw_only=True):
    """The first head by the new key, and which key it replaced."""

    checkpoint: str
    replaced: str
    event: int
    witness: str | None = None


@action(
    "log.rotate_key",
    effect=Effect.WRITE,
    cli=("log", "rotate-key"),
    examples=("squad log rotate-key --reason 'yearly'",),
    files={"witness": "in"},
)
async def rotate_key(ctx: Context, input: RotateInput) -> RotateOutput:
    """Replace the log's signing key; the old key signs which one follows it.

    What was signed before stays valid and verifies, up to the head signed last
    by the old key. Whoever trusted the old key can follow to the new one; the
    old secret is not kept.
    """
    store, notary, files = _store(ctx), _notary(ctx), _files(ctx)
    kept = _witnessed(ctx, input.witness)
    last = await sign_head(store, notary, kept[-1:])
    before = LogSigner(notary).key
    await record_head(store, last, actor=str(ctx.actor), witness=input.witness)
    notary.rotate(last.checkpoint.size)
    await record_links(store, notary, actor=str(ctx.actor), reason=input.reason)
    head = await sign_head(store, notary, [last])
    event = await record_head(store, head, actor=str(ctx.actor), witness=input.witness)
    if input.witness is not None:
        files.append(input.witness, b"".join(one.note + b"\n" for one in (last, head)))
    return RotateOutput(
        **_head(head, notary),
        checkpoint=head.note.decode(),
        replaced=before.fingerprint,
        event=event.seq,
        witness=input.witness,
    )


class ProveInput(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """One event, or two sizes of the log."""

    seq: Annotated[
        int | None, msgspec.Meta(description="Number of the event to prove.", examples=[42])
    ] = None
    size: Annotated[
        int | None,
        msgspec.Meta(
            description="Prove it under the head of this many events; without, under the "
            "newest signed head that covers it.",
        ),
    ] = None
    from_: Annotated[
        int | None,
        msgspec.Meta(description="Prove that the log grew from this many events…"),
    ] = None
    to: Annotated[
        int | None,
        msgspec.Meta(description="…to this many; without, to all there are."),
    ] = None


class ProofOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A proof by RFC 9162: hashes in base64 from the leaf upwards.

    An inclusion proof has `seq`, `leaf` and, under a signed head, the same as a
    C2SP tlog-proof; a consistency proof has `old_size` and `old_root`.
    """

    kind: str
    size: int
    root: str
    proof: list[str]
    seq: int | None = None
    leaf: str | None = None
    header: str | None = None
    tlog_proof: str | None = None
    old_size: int | None = None
    old_root: str | None = None


@action(
    "log.prove",
    effect=Effect.READ,
    cli=("log", "prove"),
    positional=("seq",),
    examples=("squad log prove 42", "squad log prove --from 1000 --to 2000"),
)
async def prove_log(ctx: Context, input: ProveInput) -> ProofOutput:
    """Prove that an event is in the log, or that the log only grew."""
    store = _store(ctx)
    if (input.seq is None) == (input.from_ is None):
        raise InvalidError(
            "give the number of an event, or --from and --to",
            code="log.prove",
            hint="squad log prove 42, or squad log prove --from 1000 --to 2000",
        )
    if input.seq is not None:
        return await _inclusion(store, _notary(ctx), input.seq, input.size)
    size = await store.size()
    old, new = cast(int, input.from_), size if input.to is None else input.to
    _within(new, size)
    nodes = TileNodes(store, new)
    proof = consistency_proof(old, new, nodes)
    return ProofOutput(
        kind="consistency",
        size=new,
        root=_text(root_at(new, nodes)),
        proof=[_text(step) for step in proof],
        old_size=old,
        old_root=_text(root_at(old, nodes)),
    )


async def _inclusion(store: RecordStore, notary: Notary, seq: int, size: int | None) -> ProofOutput:
    record = await store.record(seq)
    signed: SignedHead | None = None
    for head in await recorded_heads(store, notary):
        if head.checkpoint.size >= seq and size in (None, head.checkpoint.size):
            signed = head
    total = await store.size()
    chosen = signed.checkpoint.size if signed else total if size is None else size
    _within(chosen, total)
    nodes = TileNodes(store, chosen)
    proof = inclusion_proof(seq - 1, chosen, nodes)
    return ProofOutput(
        kind="inclusion",
        size=chosen,
        root=_text(root_at(chosen, nodes)),
        proof=[_text(step) for step in proof],
        seq=seq,
        leaf=_text(record.leaf),
        header=record.header.decode(),
        tlog_proof=tlog_proof(seq - 1, proof, signed.note).decode() if signed else None,
    )


class ExportInput(msgspec.Struct, frozen=True, kw_only=True):
    """Where to."""

    folder: Annotated[
        str,
        msgspec.Meta(
            description="Folder to write; exporting into it again adds what is new.",
            examples=["public/log"],
        ),
    ]


class ExportOutput(HeadOutput, frozen=True, kw_only=True):
    """What was written: tiles and the size the folder had before."""

    folder: str
    tiles: int
    size_before: int


@action(
    "log.export",
    effect=Effect.WRITE,
    cli=("log", "export"),
    positional=("folder",),
    examples=("squad log export public/log",),
    files={"folder": "out"},
)
async def export(ctx: Context, input: ExportInput) -> ExportOutput:
    """Write the log's headers and tree as files that any tlog-tiles reader
    verifies.

    Payloads stay here: only headers, hashes and the signed head are written.
    """
    notary = _notary(ctx)
    done = await exporting.export(
        _store(ctx),
        notary,
        _files(ctx),
        input.folder.rstrip("/"),
        lambda done, total: ctx.progress("tiles", done=done, total=total),
    )
    return ExportOutput(
        **_head(done.head, notary),
        folder=input.folder,
        tiles=done.written,
        size_before=done.known,
    )


class CaseInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to prove, to whom, and what to show."""

    subject: Annotated[
        str,
        msgspec.Meta(
            description="Id of a run, or number of an event.",
            examples=["01jd8s6d6v3f1q2w3e4r5t6y7u"],
        ),
    ]
    out: Annotated[
        str, msgspec.Meta(description="File to write the case to.", examples=["case.zip"])
    ]
    disclose: Annotated[
        list[str],
        msgspec.Meta(
            description="Sealed personal values to show: a subject (person:4711), a pointer "
            "(/vendor/name) or an event's pointer (12/vendor/name). All others stay sealed."
        ),
    ] = []
    witness: Annotated[
        str | None,
        msgspec.Meta(description="File of heads somebody keeps, which the case must extend."),
    ] = None


class CaseOutput(HeadOutput, frozen=True, kw_only=True):
    """The case that was written."""

    out: str
    out_size: int
    digest: str
    events: int
    blobs: int
    disclosed: int
    verify: str


async def _named(ctx: Context, subject: str) -> str:
    """Return an event's number, or the whole id of a run that was cut short."""
    if subject.isdigit():
        return subject
    return await runs.find(ctx.port(EventStore), subject)  # type: ignore[type-abstract]


@action(
    "attest.prove",
    effect=Effect.WRITE,
    cli=("prove",),
    positional=("subject",),
    examples=("squad prove 01jd8s6d6v3f1q2w3e4r5t6y7u -o case.zip",),
    files={"out": "out", "witness": "in"},
)
async def prove(ctx: Context, input: CaseInput) -> CaseOutput:
    """Write a case that proves a run or event to somebody who was not there.

    The file holds the events, the proofs that they are in the signed log, the
    approvals and policies, and `verify.py`, which checks all of it offline with
    nothing but Python. Personal values stay sealed unless disclosed.
    """
    notary = _notary(ctx)
    store = _store(ctx)
    made = await prover.prove(
        prover.Sources(
            store=store,
            blobs=ctx.port(BlobStore),  # type: ignore[type-abstract]
            keyring=ctx.port(Ledger).keyring,
            notary=notary,
            policies=_policies(ctx),
        ),
        await _named(ctx, input.subject),
        actor=str(ctx.actor),
        kept=_witnessed(ctx, input.witness),
        disclose=input.disclose,
    )
    _files(ctx).write(input.out, made.data)
    return CaseOutput(
        **_head(made.head, notary),
        out=input.out,
        out_size=len(made.data),
        digest=digest_bytes(made.data),
        events=made.events,
        blobs=made.blobs,
        disclosed=made.disclosed,
        verify=f"unzip {input.out} verify.py && python verify.py {input.out}",
    )


def _store(ctx: Context) -> RecordStore:
    # Whatever is mounted as the event store keeps records: it passes the suite.
    return cast(RecordStore, ctx.port(EventStore))  # type: ignore[type-abstract]


def _notary(ctx: Context) -> Notary:
    return ctx.port(Notary)  # type: ignore[type-abstract]


def _files(ctx: Context) -> Files:
    return ctx.port(Files)  # type: ignore[type-abstract]


def _witnessed(ctx: Context, path: str | None) -> list[SignedHead]:
    data = None if path is None else _files(ctx).read(path)
    return [] if data is None else read_witnessed(data, _notary(ctx))


def _policies(ctx: Context) -> dict[str, list[list[Any]]]:
    policy = ctx.port(PolicyEngine)  # type: ignore[type-abstract]
    if not isinstance(policy, CompiledPolicy):
        return {}
    return {policy.revision: [[file.layer, file.name, file.text] for file in policy.files]}


def _within(size: int, total: int) -> None:
    if not 1 <= size <= total:
        raise InvalidError(
            f"the log has {total} events; it has no head of {size}",
            code="log.prove",
            hint="give a size it has had",
        )


def _head(head: SignedHead, notary: Notary) -> dict[str, Any]:
    key = LogSigner(notary).key
    return {
        "origin": head.checkpoint.origin,
        "size": head.checkpoint.size,
        "root": f"sha256:{head.checkpoint.root.hex()}",
        "key": key.encode(),
        "fingerprint": key.fingerprint,
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
