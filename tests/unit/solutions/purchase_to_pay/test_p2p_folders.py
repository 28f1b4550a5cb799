from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from agentsquad.integrations.formats.x12 import documents, parse
from agentsquad.integrations.formats.x12.validation import check
from agentsquad.kernel.money import Money
from agentsquad.solutions.purchase_to_pay.adapters.bank_folder import BankFolder
from agentsquad.solutions.purchase_to_pay.adapters.fixture_folder import DiskFixtureFolder
from agentsquad.solutions.purchase_to_pay.adapters.folder import DiskFileSource, DiskOutbox
from agentsquad.solutions.purchase_to_pay.contract import (
    FolderError,
    Instruction,
    OutboxConflictError,
    Payer,
    PaymentConflictError,
    Remitted,
)
from agentsquad.solutions.purchase_to_pay.remittance import write_payment

ISA = b"ISA*00*          *00*          *ZZ*A              *ZZ*B              *260306*1200"


def payment(**more: object) -> Instruction:
    given: dict[str, object] = {
        "reference": "P0123456789ABCDE",
        "vendor": "acme",
        "po": "4500000001",
        "payee": "ACME PAPER INC",
        "routing": "990000101",
        "account": "30088127",
        "amount": Money.parse("80.00", "USD"),
        "remitted": (
            Remitted(
                invoice="I-1", amount=Money.parse("100.00", "USD"), total=Money.parse("120", "USD")
            ),
            Remitted(
                invoice="C-1", amount=Money.parse("-20.00", "USD"), total=Money.parse("20", "USD")
            ),
        ),
        "payer": Payer(name="HARBORLIGHT HOTEL GROUP", identity="ZZ:HARBORLIGHT"),
    }
    return Instruction(**{**given, **more})  # type: ignore[arg-type]


def test_a_payment_is_a_valid_820_that_reads_back_to_the_cent() -> None:
    data = write_payment(payment(), payment().payer, 1_772_800_000_000)
    report = check(data)
    assert report.valid, report.errors
    order = documents.read_820(next(parse(data).transactions))
    assert (order.amount, order.trace, order.currency) == ("80.00", "P0123456789ABCDE", "USD")
    assert [(r.qualifier, r.number, r.paid) for r in order.remittances] == [
        ("IV", "I-1", "100.00"),
        ("CM", "C-1", "-20.00"),
    ]


def test_a_payment_is_taken_once_and_the_repeat_is_on_the_books(tmp_path: Path) -> None:
    bank = BankFolder(tmp_path)
    first = bank.send(payment(), b"820", key="k1")
    second = bank.send(payment(), b"820 again, later", key="k2")
    assert not first.repeated and second.repeated
    assert first.file == second.file
    assert len(list(tmp_path.glob("820-*.edi"))) == 1
    assert [(a.key, a.repeated) for a in bank.attempts()] == [("k1", False), ("k2", True)]


def test_a_reference_with_another_content_is_refused(tmp_path: Path) -> None:
    bank = BankFolder(tmp_path)
    bank.send(payment(), b"820", key="k1")
    with pytest.raises(PaymentConflictError):
        bank.send(payment(amount=Money.parse("81.00", "USD")), b"820", key="k2")
    assert len(bank.attempts()) == 1


def test_what_was_written_down_but_not_sent_is_not_paid(tmp_path: Path) -> None:
    bank = BankFolder(tmp_path)
    bank._write_down(payment())  # the process died before the 820 appeared
    assert bank.find(payment()) is None
    assert bank.settled("4500000001", "acme") == []
    assert not bank.send(payment(), b"820", key="k").repeated
    assert [r.invoice for r in bank.settled("4500000001", "acme")] == ["I-1", "C-1"]


def test_what_was_paid_is_known_by_order_and_vendor(tmp_path: Path) -> None:
    bank = BankFolder(tmp_path)
    bank.send(payment(), b"820", key="k")
    assert bank.settled("4500000001", "other") == []
    assert bank.settled("4500000002", "acme") == []


def test_the_bank_needs_no_memory_of_its_own(tmp_path: Path) -> None:
    BankFolder(tmp_path).send(payment(), b"820", key="k")
    again = BankFolder(tmp_path).find(msgspec.convert(msgspec.to_builtins(payment()), Instruction))
    assert again is not None and again.repeated


def test_a_document_leaves_whole_once_and_is_never_replaced(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path)
    assert outbox.put("letters", "a.txt", b"one")
    assert not outbox.put("letters", "a.txt", b"one")
    assert outbox.holds("letters", "a.txt")
    with pytest.raises(OutboxConflictError):
        outbox.put("letters", "a.txt", b"two")
    assert [p.name for p in (tmp_path / "letters").iterdir()] == ["a.txt"]


def test_a_name_cannot_leave_the_outbox(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path / "out")
    outbox.put("..", "../../evil", b"x")
    assert not (tmp_path / "evil").exists()
    assert all(p.is_relative_to(tmp_path / "out") for p in tmp_path.rglob("*") if p.is_file())


def test_files_that_are_not_ready_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "done.edi").write_bytes(ISA + b"~IEA*1*000000001~")
    (tmp_path / "young.edi").write_bytes(ISA)
    (tmp_path / "old.edi").write_bytes(ISA)
    os.utime(tmp_path / "old.edi", (1, 1))
    (tmp_path / "next.edi.part").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    listing = DiskFileSource().list(str(tmp_path))
    assert [f.name for f in listing.files] == ["done.edi", "old.edi"]
    assert listing.skipped == {
        ".hidden": "hidden",
        "next.edi.part": "temporary name, still being written",
        "young.edi": "still being written",
    }


def test_reading_does_not_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    with pytest.raises(FolderError):
        DiskFileSource().read(str(tmp_path / "in"), "../secret")
    with pytest.raises(FolderError):
        DiskFileSource().list(str(tmp_path / "nowhere"))


def test_generated_files_never_land_among_others(tmp_path: Path) -> None:
    folder = DiskFixtureFolder(tmp_path)
    folder.write(str(tmp_path / "new"), {"a/b.txt": b"x"})
    assert (tmp_path / "new" / "a" / "b.txt").read_bytes() == b"x"
    with pytest.raises(FolderError):
        folder.write(str(tmp_path / "new"), {"c": b"x"})
