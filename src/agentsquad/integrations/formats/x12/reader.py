"""Reading: bytes into interchanges, in one pass over blocks, whatever the
bytes are.

The reader never refuses: what does not fit the envelope structure is kept as
loose segments and reported. It only finds the ends of transaction sets; their
segments are split when asked for, and judged by `validation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import BinaryIO

from agentsquad.integrations.formats.contract import Finding
from agentsquad.integrations.formats.x12.delimiter import Delimiters, fixed, search
from agentsquad.integrations.formats.x12.interchange import (
    Document,
    Group,
    Interchange,
    Segment,
    Transaction,
    split_segment,
)

BLOCK_BYTES = 256 * 1024
SEGMENT_BYTES_MAX = 4 * 1024 * 1024
_LOOKAHEAD_BYTES = 4096
_FINDINGS_MAX = 10_000
_ISA = re.compile(rb"ISA[^A-Za-z0-9\s]")
_BOM = b"\xef\xbb\xbf"


def parse(data: bytes) -> Document:
    """Read a whole file; every deviation of the envelope structure becomes a
    finding.
    """
    reader = _Reader(keep=True)
    for _ in reader.run(BytesIO(data), BLOCK_BYTES):
        pass
    return Document(reader.interchanges, reader.findings)


def iter_transactions(file: BinaryIO, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Transaction]:
    """Yield the transaction sets of a file one by one, in memory bounded by
    the largest of them.
    """
    yield from _Reader(keep=False).run(file, block_bytes)


class _Reader:
    """The state between two blocks: what is open, and the bytes not yet ended
    by a terminator.
    """

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.interchanges: list[Interchange] = []
        self.findings: list[Finding] = []
        self._pending = b""
        self._offset = 0
        self._delimiters: Delimiters | None = None
        self._interchange: Interchange | None = None
        self._group: Group | None = None
        self._body: list[bytes] | None = None
        self._body_offset = 0
        self._count = 0
        self._index = 0
        self._junk_bytes = 0
        self._junk_offset = 0
        self._repairs = 0
        self._done: list[Transaction] = []

    def run(self, file: BinaryIO, block_bytes: int) -> Iterator[Transaction]:
        """Consume the file, yielding each transaction set once its end is
        known.
        """
        while block := file.read(block_bytes):
            self._pending = self._pending + block if self._pending else block
            while self._advance(last=False):
                yield from self._drain()
            yield from self._drain()
        while self._advance(last=True):
            yield from self._drain()
        self._end_interchange()
        yield from self._drain()

    def _drain(self) -> Iterable[Transaction]:
        done, self._done = self._done, []
        return done

    def _note(self, message: str, *, segment: str = "", code: str = "", position: int = 0) -> None:
        inside = self._interchange
        findings = inside.findings if inside else self.findings
        if len(findings) >= _FINDINGS_MAX:
            return
        finding = Finding(
            segment=segment,
            position=position or self._count,
            code=code,
            message=message,
            level="interchange" if inside else "file",
            counted_in="interchange",
            interchange=len(self.interchanges),
        )
        findings.append(finding)

    def _drop(self, size: int) -> None:
        self._pending = self._pending[size:]
        self._offset += size

    def _advance(self, *, last: bool) -> bool:
        """Consume what is complete; return whether trying again at once makes
        sense.
        """
        if self._between_interchanges():
            self._delimiters = None  # the next one may use other separators
        if self._delimiters is None:
            return self._find_interchange(last=last)
        terminator = self._delimiters.segment.encode("latin-1")
        end = self._pending.rfind(terminator)
        if end < 0:
            return self._unterminated(last=last)
        chunk = self._split_joined_lines(self._pending[:end])
        used = self._consume(chunk, terminator, last=last)
        self._drop(used)
        return self._delimiters is None or (last and bool(self._pending))

    def _find_interchange(self, *, last: bool) -> bool:
        data = self._pending
        match = _ISA.search(data)
        if match is None:
            keep = 0 if last else min(len(data), 3)
            self._skip(data[: len(data) - keep])
            if last:
                self._report_junk(at_end=True)
            return False
        if match.start():
            self._skip(data[: match.start()])
        self._report_junk(at_end=False)
        if len(self._pending) < _LOOKAHEAD_BYTES and not last:
            return False
        self._delimiters = fixed(self._pending) or search(self._pending)
        self._count = 0
        return True

    def _between_interchanges(self) -> bool:
        ended = self._interchange is None and self._count > 0
        return ended and _ISA.match(self._pending.lstrip(b" \t\r\n")[:4]) is not None

    def _skip(self, data: bytes) -> None:
        """Pass over bytes in front of an ISA; white space after an IEA is kept
        for writing.
        """
        if not self._junk_bytes:
            self._junk_offset = self._offset
        body = data
        if data.startswith(_BOM) and self._offset == 0:
            body = data[len(_BOM) :]
            self.findings.append(
                Finding(message="byte order mark before the ISA", level="file", warning=True)
            )
        if body.strip():
            self._junk_bytes += len(body)
        elif self.interchanges and self.keep:
            self.interchanges[-1].tail += data.decode("latin-1")
        self._drop(len(data))

    def _report_junk(self, *, at_end: bool) -> None:
        if self._junk_bytes:
            none = at_end and not self.interchanges
            text = "no ISA segment: not X12" if none else "bytes that belong to no interchange"
            where = f"({self._junk_bytes} bytes from offset {self._junk_offset})"
            self._note(f"{text} {where}", code="022")
            self._junk_bytes = 0

    def _split_joined_lines(self, chunk: bytes) -> bytes:
        """End a segment at a line break that starts a new one although its
        terminator is missing.
        """
        delimiters = self._delimiters
        if delimiters is None or delimiters.segment in "\r\n" or b"\n" not in chunk:
            return chunk
        element = delimiters.element.encode("latin-1")
        mark = delimiters.segment.encode("latin-1")
        breaks = chunk.count(b"\n") - chunk.startswith((b"\n", b"\r\n"))
        if breaks == chunk.count(mark + b"\n") + chunk.count(mark + b"\r\n"):
            return chunk  # every line ends properly: the usual case, found at the speed of memory
        before = rb"(?<=[^\s" + re.escape(mark) + rb"])"
        after = rb"(?=[ \t]*[A-Z][A-Z0-9]{1,2}" + re.escape(element) + rb")"
        missing = re.compile(before + rb"(\r?\n)" + after)
        repaired, count = missing.subn(lambda m: mark if len(m[1]) == 1 else mark + b"\n", chunk)
        self._repairs += count
        if self._interchange is not None:
            self._report_repairs()
        return repaired

    def _report_repairs(self) -> None:
        if self._repairs and self._delimiters is not None:
            self._note(
                f"{self._repairs} segment(s) end at a line break without the terminator "
                f"{self._delimiters.segment!r}",
                code="004",
            )
        self._repairs = 0

    def _unterminated(self, *, last: bool) -> bool:
        data = self._pending
        if last:
            self._drop(len(data))
            return self._last_bytes(data)
        if len(data) > SEGMENT_BYTES_MAX:
            self._note(f"no segment terminator within {SEGMENT_BYTES_MAX} bytes", code="004")
            self._end_interchange()
            match = _ISA.search(data, 1)
            self._drop(match.start() if match else len(data) - 3)
            self._delimiters = None
        return False

    def _last_bytes(self, data: bytes) -> bool:
        """Deal with what follows the last terminator of the file."""
        if not data.strip():
            if self._interchange is None and self.interchanges and self.keep:
                self.interchanges[-1].tail = data.decode("latin-1")
            return False
        self._piece(data, self._offset - len(data))
        self._note("the last segment has no terminator", code="004")
        return False

    def _consume(self, chunk: bytes, terminator: bytes, *, last: bool) -> int:
        """Take complete segments; return how many bytes were used.

        Only envelope segments are looked at one by one; what lies between them
        is taken in one piece.
        """
        cursor = 0
        for match in self._envelope_pattern(terminator).finditer(terminator + chunk):
            start = match.start()  # of the text in `chunk`; the prefix makes up for the terminator
            if start > cursor:
                self._between(chunk[cursor : start - 1], terminator, self._offset + cursor)
            if match[1] == b"ISA" and (self._interchange is not None or self._count):
                self._end_interchange()
                if not self._same_delimiters(match.start(1) - 1, last=last):
                    self._delimiters = None
                    return start
            end = chunk.find(terminator, start)
            end = len(chunk) if end < 0 else end
            self._piece(chunk[start:end], self._offset + start)
            cursor = end + 1
        if cursor <= len(chunk):
            self._between(chunk[cursor:], terminator, self._offset + cursor)
        return len(chunk) + 1

    def _envelope_pattern(self, terminator: bytes) -> re.Pattern[bytes]:
        """Match a terminator and the envelope tag that follows it."""
        assert self._delimiters is not None
        mark = re.escape(self._delimiters.element.encode("latin-1"))
        tags = rb"([SG][TE]|IEA|TA1|ISA)(?:" + mark + rb"|(?<=ISA)[^A-Za-z0-9\s])"
        return re.compile(re.escape(terminator) + rb"[ \t\r\n]*" + tags)

    def _between(self, region: bytes, terminator: bytes, offset: int) -> None:
        """Take the segments between two envelope segments."""
        if self._body is not None:
            self._body.append(region)
            self._count += region.count(terminator) + 1
            return
        for piece in region.split(terminator):
            self._piece(piece, offset)
            offset += len(piece) + 1

    def _same_delimiters(self, place: int, *, last: bool) -> bool:
        head = self._pending[place : place + _LOOKAHEAD_BYTES]
        if len(head) < _LOOKAHEAD_BYTES and not last:
            return False
        return (fixed(head) or search(head)) == self._delimiters

    def _segment(self, piece: bytes, offset: int) -> Segment:
        assert self._delimiters is not None
        try:
            text = piece.decode("utf-8")
        except UnicodeDecodeError:
            text = piece.decode("latin-1")
            if self._interchange is not None:
                self._interchange.encoding = "latin-1"
        self._count += 1
        return split_segment(text, self._delimiters.element, position=self._count, offset=offset)

    def _piece(self, piece: bytes, offset: int) -> None:
        """Place one segment of the envelope; everything inside a transaction
        set joins its body.
        """
        tag = piece.lstrip(b" \t\r\n")[:3]  # no other blank is skipped before a tag
        mark = self._delimiters.element.encode("latin-1") if self._delimiters else b""
        kind = tag[:2] if tag[2:] == mark else tag
        if kind == b"ST" and self._group is not None:
            self._end_transaction(closed=False)
            self._body, self._body_offset = [piece], offset
            self._count += 1
        elif self._body is not None and kind not in (b"GE", b"IEA", b"GS"):
            self._body.append(piece)
            self._count += 1
            if kind == b"SE":
                self._end_transaction(closed=True)
        elif not piece.strip():
            self._note(f"an empty segment at offset {offset}", code="022", position=self._count + 1)
        else:
            self._envelope(kind, piece, offset)

    def _envelope(self, kind: bytes, piece: bytes, offset: int) -> None:
        if kind == b"ISA" and self._interchange is None:
            self._start_interchange(piece, offset)
            return
        self._end_transaction(closed=False)
        segment = self._segment(piece, offset)
        interchange, group = self._interchange, self._group
        if interchange is None:
            self._note(f"segment {segment.tag[:3]!r} outside of any interchange", code="022")
        elif kind == b"GS":
            self._group = Group(segment)
            self._index = 0
            interchange.groups.append(self._group)
        elif kind == b"GE" and group is not None:
            group.trailer = segment
            self._group = None
        elif kind == b"IEA":
            interchange.trailer = segment
            self._end_interchange()
        elif kind == b"TA1" and group is None:
            interchange.acknowledgements.append(segment)
        else:
            (group or interchange).loose.append(segment)
            place = "a functional group" if group else "an interchange"
            self._note(
                f"segment {segment.tag[:3]!r} directly in {place}, outside of any transaction set",
                segment=segment.tag[:3],
                code="024",
            )

    def _start_interchange(self, piece: bytes, offset: int) -> None:
        assert self._delimiters is not None
        self._count = 0
        header = self._segment(piece, offset)
        if self.interchanges and self.keep:
            self.interchanges[-1].tail += header.lead
        encoding = "utf-8"
        try:
            piece.decode("utf-8")
        except UnicodeDecodeError:
            encoding = "latin-1"
        interchange = Interchange(header, delimiters=self._delimiters, encoding=encoding)
        if self.keep or not self.interchanges:
            self.interchanges.append(interchange)
        else:
            self.interchanges[-1] = interchange
        self._interchange = interchange
        self._report_repairs()

    def _end_transaction(self, *, closed: bool) -> None:
        if self._body is None:
            return
        assert self._group is not None
        assert self._delimiters is not None
        transaction = Transaction(
            raw=self._delimiters.segment.encode("latin-1").join(self._body),
            offset=self._body_offset,
            delimiters=self._delimiters,
            closed=closed,
        )
        group = self._group
        transaction.version, transaction.group_id = group.version, group.functional_id
        transaction.sender, transaction.receiver = group.header.get(2), group.header.get(3)
        transaction.index = self._index
        self._index += 1
        self._body = None
        if self.keep:
            group.transactions.append(transaction)
        self._done.append(transaction)

    def _end_interchange(self) -> None:
        self._end_transaction(closed=False)
        if self._interchange is not None:
            self._interchange.segment_count = self._count
        self._interchange = None
        self._group = None
