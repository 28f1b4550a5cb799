"""Writing: interchanges into bytes.

What was read from conforming bytes is written as the same bytes. What was read
from dirty bytes comes out clean: no indentation, ISA padded to its fixed
width; segments that stood outside of any transaction set follow the container
they were found in.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentsquad.integrations.formats.contract import X12ValueError
from agentsquad.integrations.formats.x12.delimiter import ISA_WIDTHS, Delimiters
from agentsquad.integrations.formats.x12.interchange import Document, Interchange, Segment


def write(document: Document | Interchange) -> bytes:
    """Return the bytes of a document; X12ValueError if its separators cannot
    be used.
    """
    interchanges = document.interchanges if isinstance(document, Document) else [document]
    return b"".join(piece for interchange in interchanges for piece in _pieces(interchange))


def _pieces(interchange: Interchange) -> Iterator[bytes]:
    delimiters = interchange.delimiters
    problem = delimiters.problem()
    if problem:
        raise X12ValueError(problem, code="x12.delimiters", hint="e.g. * > ^ ~")
    ends = (delimiters.segment + delimiters.suffix).encode("latin-1")
    encoding = interchange.encoding
    last = interchange.trailer

    def line(segment: Segment, encoding: str = encoding) -> bytes:
        text = delimiters.element.join((segment.tag, *segment.elements))
        return _encode(text, encoding) + ends

    yield _encode(_header(interchange.header, delimiters), encoding) + ends
    for segment in interchange.acknowledgements:
        yield line(segment)
    for group in interchange.groups:
        yield line(group.header)
        for transaction in group.transactions:
            for segment in transaction.segments:
                yield line(segment, transaction.encoding)
        for segment in group.loose:
            yield line(segment)
        if group.trailer is not None:
            yield line(group.trailer)
    for segment in interchange.loose:
        yield line(segment)
    if last is not None:
        text = delimiters.element.join((last.tag, *last.elements))
        yield _encode(text + delimiters.segment, encoding) + interchange.tail.encode("latin-1")


def _encode(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _header(header: Segment, delimiters: Delimiters) -> str:
    """Return the ISA at its fixed width; values that are too long are kept,
    not cut.
    """
    fields = [header.get(n) for n in range(1, len(ISA_WIDTHS) + 1)]
    padded = [
        value if len(value) == width else value.strip().ljust(width)
        for value, width in zip(fields, ISA_WIDTHS, strict=True)
    ]
    padded[15] = delimiters.component or fields[15]
    return delimiters.element.join(("ISA", *padded, *header.elements[16:]))
