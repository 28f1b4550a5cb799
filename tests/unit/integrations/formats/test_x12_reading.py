from __future__ import annotations

import io

import pytest

from agentsquad.integrations.formats import x12
from agentsquad.integrations.formats.contract import X12ReadError, X12ValueError
from agentsquad.integrations.formats.x12 import documents as d
from agentsquad.integrations.formats.x12.delimiter import Delimiters

AT = "2026-11-23T12:00"


def envelope(**changes: object) -> x12.Envelope:
    known = {
        "sender": x12.Endpoint(id="ACME"),
        "receiver": x12.Endpoint(id="BOLT", qualifier="01"),
        "control": 7,
        "at": AT,
    }
    return x12.Envelope(**(known | changes))  # type: ignore[arg-type]


DRAFT = x12.Draft(set_id="850", segments=(("BEG", "00", "SA", "PO1", "", "20261123"),))


def test_the_writer_pads_counts_and_numbers() -> None:
    data = x12.compose_bytes(envelope(), [DRAFT, DRAFT, x12.Draft(set_id="810", segments=())])

    assert data == (
        b"ISA*00*          *00*          *ZZ*ACME           *01*BOLT           "
        b"*261123*1200*U*00401*000000007*0*P*>~\n"
        b"GS*PO*ACME*BOLT*20261123*1200*7*X*004010~\n"
        b"ST*850*0001~\nBEG*00*SA*PO1**20261123~\nSE*3*0001~\n"
        b"ST*850*0002~\nBEG*00*SA*PO1**20261123~\nSE*3*0002~\n"
        b"GE*2*7~\n"
        b"GS*IN*ACME*BOLT*20261123*1200*8*X*004010~\n"
        b"ST*810*0001~\nSE*2*0001~\n"
        b"GE*1*8~\n"
        b"IEA*2*000000007~\n"
    )
    assert x12.write(x12.parse(data)) == data


def test_a_repetition_separator_comes_with_release_005010() -> None:
    old = x12.parse(x12.compose_bytes(envelope(), [DRAFT])).interchanges[0]
    new = x12.parse(x12.compose_bytes(envelope(version="005010"), [DRAFT])).interchanges[0]

    assert (old.header.get(11), old.delimiters.repetition) == ("U", "")
    assert (new.header.get(11), new.delimiters.repetition) == ("^", "^")


def test_segments_know_their_position_and_byte() -> None:
    data = x12.compose_bytes(envelope(), [DRAFT])
    begin = next(x12.parse(data).transactions).segments[1]

    assert (begin.tag, begin.position) == ("BEG", 2)
    assert data[begin.offset :].startswith(b"BEG*00")


def test_offsets_count_bytes_not_characters() -> None:
    data = x12.compose_bytes(
        envelope(), [x12.Draft(set_id="850", segments=(("N1", "BY", "Müller"), ("REF", "IA")))]
    )
    reference = next(x12.parse(data).transactions).segments[2]

    assert data[reference.offset :].startswith(b"REF*IA")


@pytest.mark.parametrize("text", ["a*b", "a~b", "a\nb"])
def test_a_value_with_a_separator_cannot_be_written(text: str) -> None:
    with pytest.raises(X12ValueError, match="separator"):
        x12.compose(envelope(), [x12.Draft(set_id="850", segments=(("MSG", text),))])


def test_names_that_do_not_fit_the_isa_are_refused() -> None:
    with pytest.raises(X12ValueError, match="ISA06"):
        x12.compose(envelope(sender=x12.Endpoint(id="A" * 16)), [DRAFT])


def test_an_unknown_set_cannot_be_grouped() -> None:
    with pytest.raises(X12ValueError, match="123"):
        x12.compose(envelope(), [x12.Draft(set_id="123", segments=())])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            b"ISA*00* *00* *ZZ*A *ZZ*B *030910*1059*U*00401*000000001*0*T*>~\n",
            ("*", ">", "~", "\n"),
        ),
        (b"ISA|00||00||ZZ|A|ZZ|B|030910|1059|U|00401|000000001|0|T|:\n", ("|", ":", "\n", "")),
        (b"ISA*00* *00* *ZZ*A *ZZ*B *030910*1059*U*00401*000000001*0*T*~\n", ("*", "", "~", "\n")),
    ],
    ids=["unpadded", "line breaks end segments", "no component separator"],
)
def test_separators_are_found_in_a_damaged_isa(head: bytes, expected: tuple[str, ...]) -> None:
    element, end = head[3:4], expected[2].encode() + expected[3].encode()
    body = end.join(
        [
            b"GS*PO*A*B*20030910*1059*1*X*004010",
            b"ST*850*0001",
            b"SE*2*0001",
            b"GE*1*1",
            b"IEA*1*1",
            b"",
        ]
    ).replace(b"*", element)
    found = x12.parse(head + body).interchanges[0]

    marks = found.delimiters
    assert (marks.element, marks.component, marks.segment, marks.suffix) == expected
    assert [t.set_id for t in found.transactions] == ["850"]


def test_a_segment_without_terminator_is_split_at_the_line_break() -> None:
    data = x12.compose_bytes(envelope(), [DRAFT]).replace(b"20261123~\nSE", b"20261123\nSE")
    document = x12.parse(data)

    assert len(next(document.transactions)) == 3
    assert document.interchanges[0].findings[0].code == "004"


def test_interchanges_with_different_separators_share_a_file() -> None:
    one = x12.compose_bytes(envelope(), [DRAFT])
    two = x12.compose_bytes(
        envelope(delimiters=Delimiters(element="|", component="^", segment="'")), [DRAFT]
    )
    document = x12.parse(one + two + one)

    assert [i.delimiters.element for i in document.interchanges] == ["*", "|", "*"]
    assert x12.write(document) == one + two + one


def test_streaming_yields_each_transaction_set_with_its_group() -> None:
    data = x12.compose_bytes(envelope(), [DRAFT] * 5)
    seen = list(x12.iter_transactions(io.BytesIO(data), block_bytes=64))

    assert [t.control for t in seen] == ["0001", "0002", "0003", "0004", "0005"]
    assert {(t.version, t.group_id, t.sender) for t in seen} == {("004010", "PO", "ACME")}


def test_bytes_that_are_not_utf8_are_read_as_latin1_and_written_back() -> None:
    data = x12.compose_bytes(
        envelope(), [x12.Draft(set_id="850", segments=(("N1", "BY", "Müller"),))]
    ).replace("ü".encode(), b"\xfc")
    document = x12.parse(data)

    assert next(document.transactions).segments[1].get(2) == "Müller"
    assert x12.write(document) == data


def test_a_reader_refuses_another_set() -> None:
    transaction = next(x12.parse(x12.compose_bytes(envelope(), [DRAFT])).transactions)

    with pytest.raises(X12ReadError, match="810"):
        d.read_810(transaction)


def test_json_that_is_no_document_is_refused_with_the_place() -> None:
    with pytest.raises(X12ReadError, match="interchanges"):
        x12.from_json({"interchanges": "all of them"})


def test_a_long_run_without_terminator_ends_and_is_reported() -> None:
    head = x12.compose_bytes(envelope(), [])[:107]
    document = x12.parse(head + b"A" * 5_000_000)

    assert any("terminator" in f.message for f in document.interchanges[0].findings)


def test_a_ship_notice_whose_levels_are_their_own_parents_is_read() -> None:
    rows = (
        ("BSN", "00", "S1", "20261123", "1200"),
        ("HL", "1", "1", "I"),
        ("HL", "2", "3", "I"),
        ("HL", "3", "2", "O"),
        ("PRF", "P1"),
    )
    data = x12.compose_bytes(envelope(), [x12.Draft(set_id="856", segments=rows)])
    notice = d.read_856(next(x12.parse(data).transactions))

    assert [order.number for order in notice.orders] == ["P1", ""]


@pytest.mark.slow
@pytest.mark.parametrize(
    "filler",
    [b"~", b"\n", b"ISA*", b"ISA*\n", b"ST*850*1~", b"GS*PO~", b"*", b">", b"A*B\nC2*D\n"],
)
def test_a_file_full_of_nonsense_is_passed_in_one_go(filler: bytes) -> None:
    """Every step is linear, or this would take minutes."""
    head = x12.compose_bytes(envelope(), [])[:107]
    data = head + filler * (250_000 // len(filler))

    report = x12.check(data)

    assert not report.valid
    assert len(report.findings) <= 10_001
