from __future__ import annotations

import pytest

from agentsquad.integrations.formats import x12
from agentsquad.integrations.formats.contract import Finding
from agentsquad.integrations.formats.x12 import documents as d
from agentsquad.integrations.formats.x12.definition import RELEASES, release
from agentsquad.integrations.formats.x12.pattern import patterns

AT = "2026-11-23T12:00"


def file(*rows: str, set_id: str = "850", version: str = "004010") -> bytes:
    envelope = x12.Envelope(
        sender=x12.Endpoint(id="ACME"),
        receiver=x12.Endpoint(id="BOLT"),
        control=7,
        at=AT,
        version=version,
    )
    segments = tuple(tuple(row.split("*")) for row in rows)
    return x12.compose_bytes(envelope, [x12.Draft(set_id=set_id, segments=segments)])


BEG, PO1, CTT = "BEG*00*SA*PO1**20261123", "PO1*1*5*EA*1.50**VN*X", "CTT*1"
GOOD = file(BEG, PO1, CTT)


def errors(data: bytes) -> list[tuple[str, int, int | None, str]]:
    return [(f.segment, f.position, f.element, f.code) for f in x12.check(data).errors]


def test_a_conforming_order_is_valid() -> None:
    report = x12.check(GOOD)

    assert report.valid
    assert report.findings == ()


def test_good_segments_are_taken_by_their_patterns() -> None:
    """What a pattern refuses is judged element by element, ten times slower."""
    transaction = next(x12.parse(GOOD).transactions)
    texts, known = transaction.texts(), patterns(release("004010"), transaction.delimiters)
    assert texts is not None
    assert known is not None

    assert list(known.refused(texts, [text.partition("*")[0] for text in texts])) == []


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("BEG*00*SA*PO1**20261123", True),
        ("BEG*00*SA*PO1**20261131", False),
        ("BEG*00*SA***20261123", False),
        ("BEG*0X*SA*PO1**20261123", False),
        ("PO1*1*5*EA*1.50**VN*X*BP*Y", True),
        ("PO1*1*5*EA*1.50**VN*X*BP", False),
        ("PO1*1*5*EA*1.5.0**VN*X", False),
        ("PO1*1*5*EA***VN*X", True),
        ("PO1*1*5**1.50**VN*X", True),
        ("PO1*1**EA*1.50**VN*X", False),
        ("PO1*1*5**1.50*CA*VN*X", True),
        ("PO1*1*5***CA*VN*X", False),
        ("REF*IA*X\x01", False),
        ("REF*IA", False),
        ("XYZ*1", True),
    ],
)
def test_a_pattern_takes_only_good_segments(text: str, taken: bool) -> None:
    known = patterns(release("004010"), x12.Delimiters())
    assert known is not None

    assert list(known.refused([text], [text.partition("*")[0]])) == ([] if taken else [0])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((b"IEA*1*000000007", b"IEA*1*000000008"), ("IEA", 9, 2, "001")),
        ((b"IEA*1*", b"IEA*2*"), ("IEA", 9, 1, "021")),
        ((b"GE*1*7", b"GE*1*8"), ("GE", 8, 2, "4")),
        ((b"GE*1*7", b"GE*3*7"), ("GE", 8, 1, "5")),
        ((b"SE*5*0001", b"SE*5*0002"), ("SE", 5, 2, "3")),
        ((b"SE*5*", b"SE*50*"), ("SE", 5, 1, "4")),
        ((b"SE*5*0001~\n", b""), ("CTT", 4, None, "2")),
        ((b"GE*1*7~\n", b""), ("GS", 2, None, "3")),
        ((b"IEA*1*000000007~\n", b""), ("ISA", 1, None, "023")),
        ((b"*ZZ*ACME  ", b"*XX*ACME  "), ("ISA", 1, 5, "005")),
        ((b"*261123*1200*U", b"*261323*1200*U"), ("ISA", 1, 9, "014")),
        ((b"ST*850*", b"ST*999*"), ("ST", 1, 1, "1")),
        ((b"GS*PO*", b"GS*IN*"), ("ST", 1, 1, "6")),
        ((b"*X*004010", b"*X*003010"), ("GS", 2, 8, "2")),
        ((BEG.encode() + b"~\n", b""), ("BEG", 2, None, "3")),
        ((b"CTT*1", b"QQQ*1"), ("QQQ", 4, None, "1")),
        ((b"CTT*1", b"BIG*1"), ("BIG", 4, None, "6")),
        ((b"CTT*1", b"CUR*BY*USD~\nCUR*BY*USD"), ("CUR", 5, None, "5")),
        ((b"BEG*00", b"BEG*"), ("BEG", 2, 1, "1")),
        ((b"BEG*00", b"BEG*99"), ("BEG", 2, 1, "7")),
        ((b"BEG*00", b"BEG*0"), ("BEG", 2, 1, "4")),
        ((b"**20261123~", b"**20261323~"), ("BEG", 2, 5, "8")),
        ((b"**20261123~", b"**20260230~"), ("BEG", 2, 5, "8")),
        ((b"*1.50*", b"*1,50*"), ("PO1", 3, 4, "6")),
        ((b"*5*EA*", b"**EA*"), ("PO1", 3, 2, "2")),
        ((b"*VN*X", b"*VN"), ("PO1", 3, 7, "2")),
        ((b"CTT*1", b"CTT*1*2*3*4*5*6*7*8"), ("CTT", 4, 8, "3")),
        ((b"PO1*1*", b"PO1*" + b"9" * 21 + b"*"), ("PO1", 3, 1, "5")),
        ((PO1.encode(), PO1.encode() + b"~\nDTM*002**2561"), ("DTM", 4, 3, "9")),
        ((PO1.encode(), PO1.encode() + b"~\nTD3*TL*A**G*****AB*TRLR"), ("TD3", 4, 10, "10")),
    ],
)
def test_each_deviation_has_its_segment_position_element_and_code(
    change: tuple[bytes, bytes], expected: tuple[str, int, int | None, str]
) -> None:
    assert change[0] in GOOD
    assert expected in errors(GOOD.replace(*change, 1))


def test_a_segment_after_its_place_is_out_of_sequence() -> None:
    data = file(BEG, "N1*ST*Acme", "CUR*BY*USD", PO1, CTT)

    assert ("CUR", 4, None, "7") in errors(data)


def test_a_loop_of_another_place_is_not_expected() -> None:
    assert ("SLN", 3, None, "2") in errors(file(BEG, "SLN*1**I", PO1, CTT))


def test_control_numbers_are_unique() -> None:
    draft = x12.Draft(set_id="850", segments=(tuple(BEG.split("*")), tuple(PO1.split("*"))))
    envelope = x12.Envelope(
        sender=x12.Endpoint(id="A"), receiver=x12.Endpoint(id="B"), control=1, at=AT
    )
    data = x12.compose_bytes(envelope, [draft, draft]).replace(b"*0002~", b"*0001~")

    assert ("ST", 1, 2, "23") in errors(data)


def test_indentation_a_byte_order_mark_and_totals_are_only_warnings() -> None:
    data = b"\xef\xbb\xbf" + GOOD.replace(b"\nPO1", b"\n\t\tPO1").replace(b"CTT*1", b"CTT*4")
    report = x12.check(data)

    assert report.valid
    assert len(report.warnings) == 3


def test_a_hash_total_that_differs_is_a_warning() -> None:
    assert not x12.check(file(BEG, PO1, "CTT*1*5")).findings
    assert "add to 5" in x12.check(file(BEG, PO1, "CTT*1*6")).warnings[0].message


def test_repetitions_are_judged_where_the_release_has_them() -> None:
    data = file("BEG*00*SA*PO1^PO2**20261123", PO1, CTT, version="005010")

    assert ("BEG", 2, 3, "12") in errors(data)


def test_components_are_judged() -> None:
    good = file(BEG, PO1, "MEA***5*LB", CTT)
    assert errors(good) == []
    assert ("MEA", 4, 4, "5") in errors(good.replace(b"*LB~", b"*LBS>2~"))


def test_release_005010_allows_longer_references() -> None:
    rows = (BEG, "REF*IA*" + "9" * 40, PO1, CTT)

    assert ("REF", 3, 2, "5") in errors(file(*rows))
    assert errors(file(*rows, version="005010")) == []


def test_an_in_between_release_is_judged_by_the_older_one_and_says_so() -> None:
    report = x12.check(GOOD.replace(b"*004010", b"*004030"))

    assert report.valid
    assert "judged by 004010" in report.warnings[0].message


@pytest.mark.slow
def test_findings_are_bounded() -> None:
    rows = ["QQQ*1"] * 12_000
    assert len(x12.check(file(*rows)).findings) <= 10_001


def test_what_people_see_has_the_five_fields() -> None:
    finding = Finding(segment="N4", position=3, element=2, code="5", message="m", level="element")

    assert list(finding.public())[:5] == ["segment", "position", "element", "code", "message"]


@pytest.mark.parametrize("version", RELEASES)
def test_definitions_are_consistent(version: str) -> None:
    known = release(version)
    for one in known.sets.values():
        assert one.nodes[0].tag == "ST"
        assert one.nodes[-1].tag == "SE"
    for segment in known.segments.values():
        places = [p for note in segment.notes for p in note.places]
        assert all(1 <= place <= len(segment.uses) for place in places), segment.tag
    needed = {"850", "855", "856", "810", "820", "997"} | ({"999"} if version > "005" else set())
    assert set(known.sets) == needed


SAMPLES = [
    d.write_850(
        d.PurchaseOrder(
            number="P1",
            date="2026-11-23",
            currency="USD",
            notes=("leave at the gate",),
            terms=(d.Terms(kind="08", basis="3", discount_percent="2", discount_days="10"),),
            parties=(d.Party(role="ST", name="Acme", city="Dearborn", state="MI"),),
            lines=(d.OrderLine(number="1", quantity="5", unit="EA", price="1.5"),),
        )
    ),
    d.write_855(
        d.PurchaseOrderAck(
            number="P1",
            order_date="2026-11-23",
            lines=(
                d.AckLine(
                    number="1", quantity="5", unit="EA", price="1.5",
                    answers=(d.LineAnswer(status="IA", quantity="5", unit="EA"),),
                ),
            ),
        )
    ),
    d.write_856(
        d.ShipNotice(
            number="S1",
            date="2026-11-24",
            time="08:00",
            carriers=(d.Carrier(code_qualifier="2", code="UPSN", method="M"),),
            packaging=(d.Packaging(code="CTN25", count="2"),),
            parties=(d.Party(role="SF", name="Bolt"),),
            orders=(
                d.ShippedOrder(
                    number="P1",
                    lines=(
                        d.ShippedLine(
                            number="1", quantity="5", unit="EA", marks=("00001",),
                            ids=(d.ProductId(qualifier="VN", value="X"),),
                        ),
                    ),
                ),
            ),
        )
    ),
    d.write_810(
        d.Invoice(
            number="I1",
            date="2026-11-25",
            order_number="P1",
            lines=(d.InvoiceLine(number="1", quantity="5", unit="EA", price="1.5"),),
            total="7.95",
            taxes=(d.Tax(kind="ST", amount="0.45"),),
            charges=(d.Charge(kind="C", code="D240", amount="0.00"),),
        )
    ),
    d.write_820(
        d.PaymentOrder(
            amount="7.95",
            date="2026-12-20",
            format="CTX",
            payer=d.Account(bank_qualifier="01", bank="021000021", kind="DA", number="12"),
            payee=d.Account(bank_qualifier="01", bank="011000015", kind="DA", number="34"),
            trace="T1",
            parties=(d.Party(role="PR", name="Acme"), d.Party(role="PE", name="Bolt")),
            remittances=(d.Remittance(number="I1", paid="7.95", total="7.95"),),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("draft", SAMPLES, ids=lambda draft: draft.set_id)
def test_a_typed_document_read_and_written_again_is_the_same(draft: x12.Draft) -> None:
    data = file(*("*".join(row) for row in draft.segments), set_id=draft.set_id)
    read, write = getattr(d, f"read_{draft.set_id}"), getattr(d, f"write_{draft.set_id}")

    assert write(read(next(x12.parse(data).transactions))) == draft


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("draft", SAMPLES, ids=lambda draft: draft.set_id)
def test_what_the_typed_writers_write_is_valid(draft: x12.Draft, version: str) -> None:
    rows = [list(row) for row in draft.segments]
    if version == "005010":  # free text moved from MSG to MTX
        rows = [["MTX", "", *row[1:]] if row[0] == "MSG" else row for row in rows]
    data = file(*("*".join(row) for row in rows), set_id=draft.set_id, version=version)

    assert [f.message for f in x12.check(data).findings] == []
