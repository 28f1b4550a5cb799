"""The actions of the formats: check, answer, show and convert X12 files.

The engine is imported when an action runs, so that listing actions stays quick.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agentsquad.integrations.formats.contract import FileReader, X12ReadError
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context

if TYPE_CHECKING:
    from agentsquad.integrations.formats.x12 import Interchange

FILE_BYTES_MAX = 256 * 1024 * 1024

Files = Annotated[
    tuple[str, ...],
    Meta(description="paths of X12 files", min_length=1, examples=[["order.edi"]]),
]
At = Annotated[
    str,
    Meta(description="date and time of the answer, YYYY-MM-DDTHH:MM; now (UTC) when empty"),
]


class CheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which files to check."""

    files: Files


class CheckOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong in the files; `valid` when nothing is.

    Each error has `segment`, `position` (of the segment, from 1, in the
    transaction set or in the interchange as `counted_in` says), `element`,
    `code` (X12's own for its `level`) and `message`.
    """

    valid: bool
    errors: tuple[dict[str, Any], ...]
    warnings: tuple[dict[str, Any], ...]
    interchanges: tuple[dict[str, Any], ...]


class AckInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which files to answer, and how."""

    files: Files
    kind: Annotated[
        Literal["auto", "ta1", "997", "999"],
        Meta(description="auto: 999 for release 005010, else 997; a TA1 where one is due"),
    ] = "auto"
    control: Annotated[
        int,
        Meta(description="interchange control number of the first answer", ge=1, le=999_999_999),
    ] = 1
    at: At = ""


class TextOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A text to be printed as it is."""

    text: str


class ShowInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which files to show."""

    files: Files


class ConvertInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which file to convert; the direction is seen from its first character."""

    file: Annotated[str, Meta(description="path of an X12 file, or of JSON made by this action")]


@action(
    "edi.check",
    effect=Effect.READ,
    cli=("edi", "check"),
    positional=("files",),
    examples=("squad edi check order.edi", "squad edi check inbox/*.edi -o json"),
    files={"files": "in"},
)
def check(ctx: Context, value: CheckInput) -> CheckOutput:
    """Check X12 files against the standard.

    Envelopes, control numbers, counts, loops, element types, lengths, codes
    and conditions of the sets 850, 855, 856, 810, 820, 997 and 999 in releases
    004010 and 005010. Every error carries the code that a TA1, 997 or 999
    would. The exit code is 0 when valid and 2 when not.
    """
    from agentsquad.integrations.formats import x12

    errors: list[dict[str, Any]] = []
    warnings: list[dict[str, Any]] = []
    interchanges: list[dict[str, Any]] = []
    valid = True
    for path in value.files:
        report = x12.check(_read(ctx, path))
        valid = valid and report.valid
        about = {"file": path} if len(value.files) > 1 else {}
        errors += [f.public() | about for f in report.errors]
        warnings += [f.public() | about for f in report.warnings]
        interchanges += [_summary(i) | about for i in report.document.interchanges]
    return CheckOutput(
        valid=valid,
        errors=tuple(errors),
        warnings=tuple(warnings),
        interchanges=tuple(interchanges),
    )


@action(
    "edi.ack",
    effect=Effect.READ,
    cli=("edi", "ack"),
    positional=("files",),
    examples=("squad edi ack order.edi", "squad edi ack order.edi --kind 999 --control 42"),
    files={"files": "in"},
)
def ack(ctx: Context, value: AckInput) -> TextOutput:
    """Answer X12 files with TA1, 997 or 999.

    One interchange for each that came, from its receiver to its sender.
    Nothing is sent.
    """
    from agentsquad.integrations.formats import x12

    at = value.at or _minute(ctx.now_ms())
    control, texts = value.control, []
    for path in value.files:
        report = x12.check(_read(ctx, path))
        answer = x12.acknowledge(report, control=control, at=at, kind=value.kind)
        control += len(report.document.interchanges)
        texts.append(answer.decode("latin-1"))
    return TextOutput(text="".join(texts))


@action(
    "edi.show",
    effect=Effect.READ,
    cli=("edi", "show"),
    positional=("files",),
    examples=("squad edi show invoice.edi",),
    files={"files": "in"},
)
def show(ctx: Context, value: ShowInput) -> TextOutput:
    """Show X12 files as documents people can read: parties, lines, amounts."""
    from agentsquad.integrations.formats import x12

    shown = []
    for path in value.files:
        document = x12.parse(_read(ctx, path))
        if not document.interchanges:
            raise X12ReadError(
                f"{path}: no X12 interchange in it", hint="an X12 file begins with ISA"
            )
        shown.append(x12.show(document))
    return TextOutput(text="\n".join(shown))


@action(
    "edi.convert",
    effect=Effect.READ,
    cli=("edi", "convert"),
    positional=("file",),
    examples=("squad edi convert order.edi > order.json", "squad edi convert order.json"),
    files={"file": "in"},
)
def convert(ctx: Context, value: ConvertInput) -> TextOutput:
    """Convert X12 to JSON, or that JSON back to X12, without loss."""
    from agentsquad.integrations.formats import x12

    data = _read(ctx, value.file)
    if data.lstrip()[:1] == b"{":
        try:
            form = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise X12ReadError(f"{value.file}: not JSON ({error})") from error
        return TextOutput(text=_text(x12.write(x12.from_json(form))))
    document = x12.parse(data)
    if not document.interchanges:
        raise X12ReadError(
            f"{value.file}: neither X12 nor JSON", hint="an X12 file begins with ISA"
        )
    form_bytes = msgspec.json.encode(x12.to_json(document))
    return TextOutput(text=msgspec.json.format(form_bytes, indent=1).decode() + "\n")


def _text(data: bytes) -> str:
    """Decode for printing; a file in Latin-1 is printed in the terminal's
    encoding.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read(ctx: Context, path: str) -> bytes:
    return ctx.port(FileReader).read(path, FILE_BYTES_MAX)  # type: ignore[type-abstract]


def _minute(now_ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms)
    return moment.strftime("%Y-%m-%dT%H:%M")


def _summary(interchange: Interchange) -> dict[str, Any]:
    header = interchange.header
    return {
        "control": interchange.control,
        "sender": header.get(6).strip(),
        "receiver": header.get(8).strip(),
        "date": header.get(9).strip(),
        "usage": header.get(15).strip(),
        "groups": [
            {
                "id": group.functional_id,
                "control": group.control,
                "version": group.version,
                "transactions": [
                    {"set": t.set_id, "control": t.control, "segments": len(t)}
                    for t in group.transactions
                ],
            }
            for group in interchange.groups
        ],
    }
