"""Conversion: a document as JSON and back, without loss.

Elements stay the strings they are, trailing empty ones included; the
separators go along, so the same bytes can be written again. What `parse` had
to repair is lost in the way `write` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agentsquad.integrations.formats.contract import X12ReadError
from agentsquad.integrations.formats.x12.delimiter import Delimiters
from agentsquad.integrations.formats.x12.interchange import (
    Document,
    Group,
    Interchange,
    Segment,
    Transaction,
)

Row = list[str]


class TransactionForm(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A transaction set: `segments` from ST to SE, each [tag, element, …]."""

    segments: list[Row]
    encoding: str = "utf-8"
    closed: bool = True


class GroupForm(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A functional group; `loose` segments stand outside of its transaction
    sets.
    """

    header: Row
    transactions: list[TransactionForm]
    trailer: Row | None = None
    loose: list[Row] = []


class InterchangeForm(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An interchange; `tail` is what follows its last terminator."""

    delimiters: Delimiters
    header: Row
    acknowledgements: list[Row] = []
    groups: list[GroupForm] = []
    loose: list[Row] = []
    trailer: Row | None = None
    tail: str = ""
    encoding: str = "utf-8"


class DocumentForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The JSON form of a file."""

    interchanges: list[InterchangeForm]


def to_json(document: Document) -> dict[str, Any]:
    """Return the JSON object of a document."""
    form = DocumentForm(interchanges=[_interchange_form(i) for i in document.interchanges])
    found: dict[str, Any] = msgspec.to_builtins(form)
    return found


def from_json(value: Any) -> Document:
    """Return the document of a JSON object; X12ReadError says where it is not
    one.
    """
    try:
        form = msgspec.convert(value, DocumentForm)
    except msgspec.ValidationError as error:
        raise X12ReadError(
            f"not the JSON form of an X12 document: {error}", hint="see `squad edi convert --help`"
        ) from error
    return Document([_interchange(i) for i in form.interchanges])


def _row(segment: Segment) -> Row:
    return [segment.tag, *segment.elements]


def _interchange_form(interchange: Interchange) -> InterchangeForm:
    return InterchangeForm(
        delimiters=interchange.delimiters,
        header=_row(interchange.header),
        acknowledgements=[_row(s) for s in interchange.acknowledgements],
        groups=[_group_form(g) for g in interchange.groups],
        loose=[_row(s) for s in interchange.loose],
        trailer=_row(interchange.trailer) if interchange.trailer is not None else None,
        tail=interchange.tail,
        encoding=interchange.encoding,
    )


def _group_form(group: Group) -> GroupForm:
    return GroupForm(
        header=_row(group.header),
        transactions=[
            TransactionForm(
                segments=[_row(s) for s in t.segments], encoding=t.encoding, closed=t.closed
            )
            for t in group.transactions
        ],
        trailer=_row(group.trailer) if group.trailer is not None else None,
        loose=[_row(s) for s in group.loose],
    )


def _segments(rows: Sequence[Row], position: int = 1) -> list[Segment]:
    return [_segment(row, at) for at, row in enumerate(rows, position)]


def _segment(row: Row, position: int) -> Segment:
    if not row:
        raise X12ReadError("a segment is an empty list", hint='write ["REF", "PO", "4711"]')
    return Segment.of(row[0], row[1:], position=position)


def _interchange(form: InterchangeForm) -> Interchange:
    found = Interchange(
        _segment(form.header, 1),
        delimiters=form.delimiters,
        acknowledgements=_segments(form.acknowledgements, 2),
        encoding=_encoding(form.encoding),
    )
    position = 2 + len(form.acknowledgements)
    for group in form.groups:
        made, position = _group(group, form.delimiters, position)
        found.groups.append(made)
    found.loose = _segments(form.loose, position)
    position += len(form.loose)
    if form.trailer is not None:
        found.trailer = _segment(form.trailer, position)
    found.segment_count = position
    found.tail = form.tail
    return found


def _group(form: GroupForm, delimiters: Delimiters, position: int) -> tuple[Group, int]:
    group = Group(_segment(form.header, position))
    position += 1
    for index, one in enumerate(form.transactions):
        if not one.segments:
            raise X12ReadError("a transaction set without segments", hint="it begins with ST")
        transaction = Transaction(
            _segments(one.segments),
            delimiters=delimiters,
            encoding=_encoding(one.encoding),
            closed=one.closed and one.segments[-1][:1] == ["SE"],
        )
        transaction.version, transaction.group_id = group.version, group.functional_id
        transaction.sender, transaction.receiver = group.header.get(2), group.header.get(3)
        transaction.index = index
        group.transactions.append(transaction)
        position += len(one.segments)
    group.loose = _segments(form.loose, position)
    position += len(form.loose)
    if form.trailer is not None:
        group.trailer = _segment(form.trailer, position)
        position += 1
    return group, position


def _encoding(name: str) -> str:
    if name not in ("utf-8", "latin-1"):
        raise X12ReadError(f"encoding {name!r}", hint="utf-8 or latin-1")
    return name
