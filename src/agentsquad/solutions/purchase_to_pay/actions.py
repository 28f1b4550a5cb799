"""The steps of purchase to pay: look, read, acknowledge, screen, pay, write.

Thin: each takes what it needs through its context, calls the pure parts and
hands back a value.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.hashing import digest, digest_bytes
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.engine.interceptors.effect import Reconciled
from agentsquad.solutions.purchase_to_pay import intake, letter, remittance, similarity
from agentsquad.solutions.purchase_to_pay.contract import (
    FileFound,
    FileSource,
    FolderError,
    Instruction,
    Outbox,
    Payments,
    Receipt,
    Remitted,
    ScanInput,
)
from agentsquad.solutions.purchase_to_pay.intake import Taken
from agentsquad.solutions.purchase_to_pay.master import FILE, Master, read_master
from agentsquad.solutions.purchase_to_pay.screening import Screener, Screening
from agentsquad.workforce.agents.contract import ModelCatalogue

ACKNOWLEDGEMENTS, LETTERS = "acknowledgements", "letters"
DRAFTER, MODEL_DRAFTER = "p2p-drafter", "p2p-drafter-model"


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of a file are kept beside the log."""

    digest: str = msgspec.field(name="$blob")
    size: int
    media_type: str = "application/octet-stream"


class FileRead(msgspec.Struct, frozen=True, kw_only=True):
    """A file and its bytes as they were when the folder was looked into."""

    file: FileFound
    blob: Blob


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds: each content once, in order of names.

    `skipped` says why a file was left alone; a second file with the same bytes
    is left alone as a copy. `sanctions` is whether a list lies beside them,
    `drafter` the agent that words letters: one with a model if one is ready.
    """

    files: tuple[FileRead, ...]
    skipped: dict[str, str]
    master: Master
    sanctions: bool = False
    drafter: str = DRAFTER


@action("p2p.scan", effect=Effect.READ, cli=(), files={"folder": "in"})
async def scan(ctx: Context, value: ScanInput) -> Scanned:
    """Look into a folder and keep the bytes of every complete file."""
    source, blobs = ctx.port(FileSource), ctx.port(BlobStore)  # type: ignore[type-abstract]
    listing = source.list(value.folder)
    skipped = dict(listing.skipped)
    seen: dict[str, str] = {}
    files: list[FileRead] = []
    for done, file in enumerate(listing.files, start=1):
        if file.digest in seen:
            skipped[file.name] = f"the same bytes as {seen[file.digest]}"
            continue
        seen[file.digest] = file.name
        kept = await blobs.put(source.read(value.folder, file.name), "application/edi-x12")
        files.append(FileRead(file=file, blob=msgspec.convert(kept, Blob)))
        ctx.progress(f"reading {file.name}", done=done, total=len(listing.files))
    return Scanned(
        files=tuple(files),
        skipped=skipped,
        master=_master(source, value.folder),
        sanctions=_has(source, value.folder, "sanctions/sdn.csv"),
        drafter=await _drafter(ctx),
    )


async def _drafter(ctx: Context) -> str:
    """Name the agent with a model if one is ready to write, else the rule."""
    try:
        listed = await ctx.call("models.list", {})
    except SquadError:
        return DRAFTER
    ready = any(
        one.status == "ready" and one.protocol != "rules" and not one.embeds for one in listed.items
    )
    return MODEL_DRAFTER if ready else DRAFTER


def _master(source: FileSource, folder: str) -> Master:
    try:
        data = source.read(folder, FILE)
    except FolderError:
        return Master()
    return read_master(data)


def _has(source: FileSource, folder: str, name: str) -> bool:
    try:
        source.read(folder, name)
    except FolderError:
        return False
    return True


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An effect whose answer was lost: does the other side know it?"""

    key: Annotated[str, Meta(description="idempotency key it was sent with")]
    input: Annotated[Any, Meta(description="what was sent")] = None


class ReadInput(msgspec.Struct, frozen=True, kw_only=True):
    """One file, by the digest of its bytes."""

    file: Annotated[FileFound, Meta(description="name, size and digest of the file")]
    blob: Annotated[Blob, Meta(description="where its bytes are kept")]


class KeyInput(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a run's input that names it."""

    folder: Annotated[str, Meta(description="folder the files are in")]


@action("p2p.key", effect=Effect.READ, cli=(), files={"folder": "in"})
def key(ctx: Context, value: KeyInput) -> str:
    """Name the run of a folder by its files, master data and lists."""
    source = ctx.port(FileSource)  # type: ignore[type-abstract]
    folder = value.folder
    contents: list[Any] = [[f.name, f.digest] for f in source.list(folder).files]
    for name in ("master.json", "sanctions/sdn.csv", "sanctions/alt.csv"):
        try:
            contents.append([name, digest_bytes(source.read(folder, name))])
        except FolderError:
            continue
    return digest(contents).removeprefix("sha256:")[:24]


@action("p2p.read", effect=Effect.PURE, cli=())
async def read(ctx: Context, value: ReadInput) -> Taken:
    """Judge a file and read its documents; garbage is an answer, not an
    error."""
    data = await ctx.port(BlobStore).get(value.blob.digest)  # type: ignore[type-abstract]
    return intake.take(value.file, data)


class AckInput(msgspec.Struct, frozen=True, kw_only=True):
    """A file to answer; `repeats` names the file that had its number first."""

    file: Annotated[FileFound, Meta(description="name, size and digest of the file")]
    blob: Annotated[Blob, Meta(description="where its bytes are kept")]
    at_ms: Annotated[int, Meta(description="time written into the answer, milliseconds UTC")]
    repeats: Annotated[str, Meta(description="file that had its interchange number first")] = ""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that left for the outbox, as BOX/NAME."""

    documents: tuple[str, ...] = ()


@action("p2p.acknowledge", effect=Effect.WRITE, cli=(), reconcile="p2p.find_answer")
async def acknowledge(ctx: Context, value: AckInput) -> Left:
    """Answer a file with TA1, 997 or 999; a file that is not X12 has no one to
    answer."""
    data = await ctx.port(BlobStore).get(value.blob.digest)  # type: ignore[type-abstract]
    report = intake.judged(data)
    if value.repeats:
        report = intake.repeated(report)
    control = int(value.file.digest[-7:], 16) % 999_999_999 + 1
    moment = datetime.datetime.fromtimestamp(value.at_ms / 1000, datetime.UTC)
    answer = intake.answer(report, control=control, at=moment.strftime("%Y-%m-%dT%H:%M"))
    if not answer:
        return Left()
    name = _answer_name(value)
    outbox = ctx.port(Outbox)  # type: ignore[type-abstract]
    if not outbox.holds(ACKNOWLEDGEMENTS, name):  # an earlier run answered these bytes
        outbox.put(ACKNOWLEDGEMENTS, name, answer)
    return Left(documents=(f"{ACKNOWLEDGEMENTS}/{name}",))


def _answer_name(value: AckInput) -> str:
    return f"{value.file.name}.{value.file.digest[7:19]}.ack.edi"


@action("p2p.find_answer", effect=Effect.READ, cli=())
def find_answer(ctx: Context, value: Asked) -> Reconciled:
    """Say whether the answer to a file has left."""
    asked = msgspec.convert(value.input, AckInput)
    name = _answer_name(asked)
    if not ctx.port(Outbox).holds(ACKNOWLEDGEMENTS, name):  # type: ignore[type-abstract]
        return Reconciled(found=False)
    left = Left(documents=(f"{ACKNOWLEDGEMENTS}/{name}",))
    return Reconciled(found=True, output=msgspec.to_builtins(left))


class ScreenInput(msgspec.Struct, frozen=True, kw_only=True):
    """Names to look for; without a folder there is no list and no hit."""

    folder: Annotated[str | None, Meta(description="folder of the list, none for no list")]
    names: Annotated[tuple[str, ...], Meta(description="names to look for")]


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """The best hit for each name, and the digest of the list it was sought
    in."""

    screenings: tuple[Screening, ...]
    entries: int = 0
    digest: str = ""


@action("p2p.screen", effect=Effect.READ, cli=(), files={"folder": "in"})
def screen(ctx: Context, value: ScreenInput) -> Screened:
    """Look for names on the sanctions list of a folder (OFAC's CSV layout)."""
    if value.folder is None:
        return Screened(screenings=tuple(Screening(name=name) for name in value.names))
    source = ctx.port(FileSource)  # type: ignore[type-abstract]
    files = {}
    for stem in ("sdn", "alt", "add"):
        try:
            files[f"{stem}.csv"] = source.read(value.folder, f"{stem}.csv")
        except FolderError:
            if stem == "sdn":
                raise
    screener = Screener(files)
    return Screened(
        screenings=tuple(screener.screen(name) for name in value.names),
        entries=screener.entries,
        digest=screener.digest,
    )


class SimilarityInput(msgspec.Struct, frozen=True, kw_only=True):
    """Descriptions by line number: those to pair, and what with."""

    lines: Annotated[dict[str, str], Meta(description="descriptions to pair, by line number")]
    others: Annotated[dict[str, str], Meta(description="descriptions to pair with, by line number")]


class Similarity(msgspec.Struct, frozen=True, kw_only=True):
    """How alike each is to each other, 0 to 1, and by what it was measured."""

    scores: dict[str, dict[str, float]]
    method: str


@action("p2p.similarity", effect=Effect.READ, cli=())
async def similar(ctx: Context, value: SimilarityInput) -> Similarity:
    """Measure how alike descriptions are: by embeddings where a model is
    installed, else by words."""
    lines, others = sorted(value.lines.items()), sorted(value.others.items())
    try:
        embedder = ctx.port(ModelCatalogue).embedder()  # type: ignore[type-abstract]
        vectors = await embedder.embed([text for _, text in (*lines, *others)])
    except SquadError:
        return Similarity(scores=similarity.table(lines, others), method="words")
    right = vectors[len(lines) :]
    scores = {
        number: {
            other: similarity.cosine(vectors[i], right[j]) for j, (other, _) in enumerate(others)
        }
        for i, (number, _) in enumerate(lines)
    }
    ctx.meter(kind="embedding", model=embedder.model, cost_micros=0, currency="USD")
    return Similarity(scores=scores, method=embedder.model)


class PairingInput(msgspec.Struct, frozen=True, kw_only=True):
    """An uncertain pairing that a person is asked about."""

    invoice: Annotated[str, Meta(description="invoice number")]
    po: Annotated[str, Meta(description="order number")]
    line: Annotated[str, Meta(description="line of the invoice")]
    order_line: Annotated[str, Meta(description="line of the order")]
    buyer: Annotated[str, Meta(description="name of who placed the order")] = ""


@action("p2p.accept_pairing", effect=Effect.PURE, cli=())
def accept_pairing(ctx: Context, value: PairingInput) -> PairingInput:
    """Take a pairing as given; asking people about it is what it is for."""
    return value


@action(
    "payments.send",
    effect=Effect.IRREVERSIBLE,
    cli=(),
    reconcile="payments.lookup",
    preview="payments.preview",
    timeout_ms=60_000,
)
def send(ctx: Context, value: Instruction) -> Receipt:
    """Pay a vendor: an X12 820 to the bank, once."""
    payments = ctx.port(Payments)  # type: ignore[type-abstract]
    document = remittance.write_payment(value, value.payer, ctx.now_ms())
    return payments.send(value, document, key=ctx.idempotency_key)


@action("payments.lookup", effect=Effect.READ, cli=())
def lookup(ctx: Context, value: Asked) -> Reconciled:
    """Ask the bank whether it has a payment."""
    asked = msgspec.convert(value.input, Instruction, strict=False)
    receipt = ctx.port(Payments).find(asked)  # type: ignore[type-abstract]
    if receipt is None:
        return Reconciled(found=False)
    return Reconciled(found=True, output=msgspec.to_builtins(receipt))


@action("payments.preview", effect=Effect.PURE, cli=())
def preview(ctx: Context, value: Instruction) -> Receipt:
    """Say what sending would answer, without sending; what-if runs use it."""
    return Receipt(reference=value.reference, amount=value.amount, file="(not sent)")


class HistoryInput(msgspec.Struct, frozen=True, kw_only=True):
    """An order and its vendor."""

    po: Annotated[str, Meta(description="order number")]
    vendor: Annotated[str, Meta(description="key of the vendor on the master")]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid on an order by earlier runs."""

    remitted: tuple[Remitted, ...] = ()


@action("payments.history", effect=Effect.READ, cli=())
def history(ctx: Context, value: HistoryInput) -> History:
    """Return what the bank has paid on an order so far."""
    if not value.vendor or not value.po:
        return History()
    payments = ctx.port(Payments)  # type: ignore[type-abstract]
    return History(remitted=tuple(payments.settled(value.po, value.vendor)))


class LetterInput(msgspec.Struct, frozen=True, kw_only=True):
    """A letter to a vendor."""

    name: Annotated[str, Meta(description="file name of the letter")]
    vendor: Annotated[str, Meta(description="key of the vendor on the master")]
    subject: Annotated[str, Meta(description="subject of the letter")]
    body: Annotated[str, Meta(description="text of the letter")]


@action(
    "p2p.write_letter",
    effect=Effect.WRITE,
    cli=(),
    reconcile="p2p.find_letter",
    preview="p2p.preview_letter",
)
def write_letter(ctx: Context, value: LetterInput) -> Left:
    """Put a letter to a vendor into the outbox."""
    outbox = ctx.port(Outbox)  # type: ignore[type-abstract]
    if not outbox.holds(LETTERS, value.name):  # an earlier run wrote about this very case
        outbox.put(LETTERS, value.name, letter.render(value.subject, value.body))
    return Left(documents=(f"{LETTERS}/{value.name}",))


@action("p2p.preview_letter", effect=Effect.PURE, cli=())
def preview_letter(ctx: Context, value: LetterInput) -> Left:
    """Say what writing a letter would leave, without writing it."""
    return Left(documents=(f"{LETTERS}/{value.name}",))


@action("p2p.find_letter", effect=Effect.READ, cli=())
def find_letter(ctx: Context, value: Asked) -> Reconciled:
    """Say whether a letter has left."""
    asked = msgspec.convert(value.input, LetterInput)
    if not ctx.port(Outbox).holds(LETTERS, asked.name):  # type: ignore[type-abstract]
        return Reconciled(found=False)
    left = Left(documents=(f"{LETTERS}/{asked.name}",))
    return Reconciled(found=True, output=msgspec.to_builtins(left))


STEPS = (
    scan,
    key,
    read,
    acknowledge,
    find_answer,
    screen,
    similar,
    accept_pairing,
    send,
    lookup,
    preview,
    history,
    preview_letter,
    write_letter,
    find_letter,
)
