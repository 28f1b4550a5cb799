from __future__ import annotations

import io
from pathlib import Path

import pytest
from pyx12.x12file import X12Reader

from agentsquad.integrations.formats import x12
from agentsquad.integrations.formats.contract import Finding, X12ReadError
from agentsquad.integrations.formats.x12 import documents as d

AT = "2026-11-23T12:00"
DIRTY = (Path(__file__).parent / "x12_fixtures" / "dirty-order.edi").read_bytes()


def order(version: str = "004010", *, acknowledge: bool = False, count: int = 1) -> bytes:
    draft = d.write_850(
        d.PurchaseOrder(
            number="P1",
            date="2026-11-23",
            lines=(d.OrderLine(number="1", quantity="5", unit="EA", price="1.5"),),
        )
    )
    envelope = x12.Envelope(
        sender=x12.Endpoint(id="ACME"),
        receiver=x12.Endpoint(id="BOLT", qualifier="01"),
        control=7,
        at=AT,
        version=version,
        acknowledge=acknowledge,
    )
    return x12.compose_bytes(envelope, [draft] * count)


def answer(data: bytes, kind: x12.Kind = "auto") -> list[str]:
    text = x12.acknowledge(data, control=41, at=AT, kind=kind).decode()
    return [line.strip() for line in text.split("~") if line.strip()]


def test_a_good_order_is_accepted_with_a_997() -> None:
    lines = answer(order())

    assert lines[0].startswith("ISA*00*          *00*          *01*BOLT           *ZZ*ACME")
    assert lines[1:] == [
        "GS*FA*BOLT*ACME*20261123*1200*41*X*004010",
        "ST*997*0001",
        "AK1*PO*7",
        "AK2*850*0001",
        "AK5*A",
        "AK9*A*1*1*1",
        "SE*6*0001",
        "GE*1*41",
        "IEA*1*000000041",
    ]


def test_release_005010_is_answered_with_a_999() -> None:
    lines = answer(order("005010"))

    assert "ST*999*0001*005010X231A1" in lines
    assert "IK5*A" in lines


def test_a_ta1_is_sent_when_asked_for() -> None:
    assert "TA1*000000007*261123*1200*A*000" in answer(order(acknowledge=True))
    assert not any(line.startswith("TA1") for line in answer(order()))


def test_the_kind_can_be_chosen() -> None:
    assert "ST*999*0001*005010X231A1" in answer(order(), "999")
    assert "ST*997*0001" in answer(order("005010"), "997")
    assert [line[:3] for line in answer(order(), "ta1")] == ["ISA", "TA1", "IEA"]


def test_a_dirty_order_gets_the_right_codes() -> None:
    lines = answer(DIRTY)

    assert "TA1*000000412*261120*0815*R*001" in lines
    assert "AK3*N4*6**8" in lines
    assert "AK4*2*156*5*Maine" in lines
    assert "AK3*PO1*8**8" in lines
    assert "AK4*4*212*6*19,95" in lines
    assert "AK5*R*4*5" in lines
    assert "AK9*R*1*1*0" in lines


def test_one_bad_set_of_two_is_a_partial_acceptance() -> None:
    data = order(count=2).replace(b"SE*5*0002", b"SE*6*0002")

    assert "AK9*P*2*2*1" in answer(data)


def test_a_group_with_a_wrong_trailer_is_rejected() -> None:
    assert "AK9*R*1*1*0*4" in answer(order().replace(b"GE*1*7", b"GE*1*8"))


def test_unpadded_isa_elements_are_accepted_with_errors() -> None:
    lines = answer(order().replace(b"*ACME           *", b"*ACME*"))

    assert "TA1*000000007*261123*1200*E*022" in lines
    assert "AK9*A*1*1*1" in lines


def test_a_repeated_control_number_rejects_the_interchange_and_answers_no_group() -> None:
    read = x12.check(order(count=2))
    repeated = Finding(
        segment="ISA",
        position=1,
        element=13,
        code="025",
        message="used before",
        level="interchange",
        counted_in="interchange",
        interchange=1,
    )
    report = x12.Report(findings=(repeated,), document=read.document)

    text = x12.acknowledge(report, control=41, at=AT).decode()
    lines = [line.strip() for line in text.split("~") if line.strip()]

    assert lines[1:] == ["TA1*000000007*261123*1200*R*025", "IEA*0*000000041"]


def test_acknowledgements_are_not_acknowledged() -> None:
    first = x12.acknowledge(order(acknowledge=True), control=41, at=AT)

    assert x12.acknowledge(first, control=42, at=AT) == b""


def test_nobody_is_answered_when_there_is_no_isa() -> None:
    with pytest.raises(X12ReadError, match="no ISA"):
        x12.acknowledge(b"UNA:+.? 'UNB+UNOA:1", control=1, at=AT)


@pytest.mark.parametrize("kind", ["auto", "997", "999"])
@pytest.mark.parametrize("data", [order(), order("005010", count=3), DIRTY])
def test_an_independent_reader_finds_no_fault_in_the_envelopes(data: bytes, kind: x12.Kind) -> None:
    reader = X12Reader(io.StringIO(x12.acknowledge(data, control=41, at=AT, kind=kind).decode()))

    tags = [segment.get_seg_id() for segment in reader]

    assert tags[0] == "ISA"
    assert tags[-1] == "IEA"
    assert reader.pop_errors() == []
