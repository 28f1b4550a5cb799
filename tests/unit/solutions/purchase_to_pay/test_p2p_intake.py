from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.formats.x12 import parse
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.solutions.purchase_to_pay import intake
from agentsquad.solutions.purchase_to_pay.case import Case, cases_of
from agentsquad.solutions.purchase_to_pay.contract import FileFound
from agentsquad.solutions.purchase_to_pay.document import Invoice
from agentsquad.solutions.purchase_to_pay.generator import generate, tell

REAL = Path(
    os.environ.get("SQUAD_TEST_EDI_DATA", Path(__file__).parents[5] / "shared/data/edi-public")
)
FILES = {n: d for n, d in generate(25, 7).files.items() if d.startswith(b"ISA")}


def take(name: str, data: bytes) -> intake.Taken:
    return intake.take(FileFound(name=name, size=len(data), digest=digest_bytes(data)), data)


def invoices() -> list[Invoice]:
    return [i for n, d in FILES.items() for i in take(n, d).contents.invoices]


def test_every_invoice_is_read_to_the_cent() -> None:
    told = {
        bill.number: bill.total for story in tell(25, 7) for bill in story.bills if not bill.fault
    }
    read = {i.number: i.total.micros // 10_000 for i in invoices() if i.po.startswith("45002")}
    assert read == told
    assert all((i.goods + i.tax + i.charged) == i.total for i in invoices())


def test_wrong_counts_and_numbers_reject_exactly_their_documents() -> None:
    rejected = {
        r.po: r.reason[:5]
        for n, d in FILES.items()
        if not n.endswith(".part")
        for r in take(n, d).contents.rejections
    }
    told = {s.po: s.kind for s in tell(25, 7) if s.expected.outcome == "rejected"}
    marks = {
        "bad_segment_count": "SE01:",
        "bad_line_total": "CTT01",
        "bad_interchange_trailer": "IEA02",
    }
    assert rejected == {po: marks[kind] for po, kind in told.items()}


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("bad_segment_count", ["AK5", "R", "4"]),
        ("bad_line_total", ["AK5", "R", "5"]),
        ("bad_interchange_trailer", ["TA1", "R", "001"]),
    ],
)
def test_the_answer_says_what_was_rejected_and_why(kind: str, wanted: list[str]) -> None:
    po = next(s.po for s in tell(25, 7) if s.kind == kind)
    data = next(d for n, d in FILES.items() if "-810-" in n and po.encode() in d)
    answer = intake.answer(intake.judged(data), control=1, at="2026-03-06T12:00")
    segments = [s for i in parse(answer).interchanges for t in i.transactions for s in t.segments]
    segments += [s for i in parse(answer).interchanges for s in i.acknowledgements]
    tag, status, code = wanted
    # maple ridge writes 005010, so its answer is a 999 with IK5
    found = [s for s in segments if s.tag in (tag, tag.replace("AK", "IK"))]
    assert any(status in s.elements and code in s.elements for s in found), found


def test_the_others_of_a_rejected_group_are_accepted() -> None:
    po = next(s.po for s in tell(25, 7) if s.kind == "bad_line_total")
    taken = next(take(n, d) for n, d in FILES.items() if "-810-" in n and po.encode() in d)
    assert taken.contents.invoices and len(taken.contents.rejections) == 1


def test_a_replaced_order_is_the_one_that_counts() -> None:
    story = next(s for s in tell(25, 7) if s.kind == "order_replaced")
    cases = cases_of(take(n, d).contents for n, d in FILES.items())
    case = next(c for c in cases if c.po == story.po)
    assert case.order is not None and case.order.purpose == "05"
    assert {line.unit for line in case.order.lines} == {"CA"} and len(case.replaced) == 1


def test_the_order_of_files_does_not_change_the_cases() -> None:
    parts = [take(n, d).contents for n, d in FILES.items()]
    forth, back = cases_of(parts), cases_of(reversed(parts))
    assert [c.key for c in forth] == [c.key for c in back]


def test_the_key_of_a_case_changes_with_its_documents_only() -> None:
    parts = [take(n, d).contents for n, d in FILES.items()]
    renamed = [take(f"x-{n}", d).contents for n, d in FILES.items()]
    assert [c.key for c in cases_of(parts)] == [c.key for c in cases_of(renamed)]
    fewer = [take(n, d).contents for n, d in FILES.items() if "-856-" not in n]
    assert {c.key for c in cases_of(fewer)}.isdisjoint(c.key for c in cases_of(parts)) is False


def test_the_key_of_a_case_is_one_safe_name_whatever_the_order_number() -> None:
    keys = [Case(po=po, vendor="").key for po in ("a/b", "a_b", "../x", "", "é\n", "x" * 99)]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) for key in keys)


def test_a_repeated_interchange_number_is_seen() -> None:
    name, data = next((n, d) for n, d in FILES.items() if "-810-" in n)
    other = data.replace(b"INV", b"INX") + b"\n"
    again = intake.repeated_interchanges([("a", take("a", data)), ("b", take("b", other))])
    assert again == {"b": "a"}, name


def test_a_file_that_is_not_x12_is_said_to_be_none() -> None:
    taken = take("notes.txt", b"please pay me")
    assert not taken.x12 and taken.contents.rejections[0].kind == "not_x12"
    assert intake.answer(intake.judged(b"please pay me"), control=1, at="2026-03-06T12:00") == b""


@given(st.binary(max_size=300))
def test_garbage_is_an_answer_and_never_an_error(data: bytes) -> None:
    assert take("g", data).contents.invoices == ()


@given(st.integers(0, 2**32), st.integers(0, 255))
def test_a_damaged_invoice_is_rejected_or_read_and_never_an_error(at: int, byte: int) -> None:
    name, data = next((n, d) for n, d in FILES.items() if "-810-" in n)
    damaged = bytearray(data)
    damaged[at % len(data)] = byte
    take(name, bytes(damaged))
    intake.answer(intake.judged(bytes(damaged)), control=1, at="2026-03-06T12:00")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not part of the project")
def test_real_dirty_files_are_answered() -> None:
    for path in sorted(REAL.iterdir()):
        data = path.read_bytes()
        taken = take(path.name, data)
        answer = intake.answer(intake.judged(data), control=1, at="2026-03-06T12:00")
        assert bool(answer) == taken.x12, path.name
        if answer:
            assert intake.judged(answer).valid, path.name
