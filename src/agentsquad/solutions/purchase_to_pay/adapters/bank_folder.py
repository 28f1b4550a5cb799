"""A simulated bank: payments are 820 files dropped into a folder.

It keeps what a bank keeps. Every attempt is written to `attempts.jsonl` with
its idempotency key, a reference it knows is answered with the first receipt
and marked as repeated, and the appearance of the 820 file is the payment. It
is a file drop, not a bank: nobody's money moves.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from agentsquad.solutions.purchase_to_pay.adapters.folder import (
    plain_name,
    put_once,
    sync_folder,
    write_durably,
)
from agentsquad.solutions.purchase_to_pay.contract import (
    Instruction,
    OutboxConflictError,
    PaymentConflictError,
    Receipt,
    Remitted,
)

ATTEMPTS = "attempts.jsonl"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the bank's own book."""

    reference: str
    key: str
    amount: str
    currency: str
    repeated: bool


class BankFolder:
    """Takes each payment reference once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def send(self, instruction: Instruction, document: bytes, *, key: str) -> Receipt:
        """Take a payment once per reference; the key is kept with every
        attempt."""
        known = self.find(instruction)
        if known is None:
            self._write_down(instruction)
            try:
                created = put_once(self.root, _file(instruction), document)
            except OutboxConflictError:
                created = False  # another process was faster: its file is the payment
            known = self._receipt(instruction, repeated=not created)
        self._book(instruction, key, repeated=known.repeated)
        return known

    def find(self, instruction: Instruction) -> Receipt | None:
        """Return the receipt of a payment, None if it never arrived."""
        if not (self.root / _file(instruction)).is_file():
            return None
        written = self._written(instruction)
        if written is not None and written != _kept(instruction):
            raise PaymentConflictError(
                f"the bank knows {instruction.reference} with another content",
                hint="a reference is never used for two payments",
                details={"reference": instruction.reference},
            )
        return self._receipt(instruction, repeated=True)

    def settled(self, po: str, vendor: str) -> list[Remitted]:
        """Return what was paid on an order so far."""
        folder = self._order_folder(po, vendor)
        if not folder.is_dir():
            return []
        found: list[Remitted] = []
        for path in sorted(folder.glob("*.json")):
            instruction = msgspec.json.decode(path.read_bytes(), type=Instruction)
            if (self.root / _file(instruction)).is_file():
                found += instruction.remitted
        return found

    def attempts(self) -> list[Attempt]:
        """Return every attempt, repeated ones included; tests count them."""
        path = self.root / ATTEMPTS
        if not path.is_file():
            return []
        return [msgspec.json.decode(line, type=Attempt) for line in path.read_bytes().splitlines()]

    def _receipt(self, instruction: Instruction, *, repeated: bool) -> Receipt:
        return Receipt(
            reference=instruction.reference,
            amount=instruction.amount,
            file=_file(instruction),
            repeated=repeated,
        )

    def _order_folder(self, po: str, vendor: str) -> Path:
        return self.root / "orders" / plain_name(f"{vendor}-{po}")

    def _written(self, instruction: Instruction) -> Instruction | None:
        folder = self._order_folder(instruction.po, instruction.vendor)
        path = folder / f"{plain_name(instruction.reference)}.json"
        if not path.is_file():
            return None
        return msgspec.json.decode(path.read_bytes(), type=Instruction)

    def _write_down(self, instruction: Instruction) -> None:
        """Keep what is about to be paid; without its 820 it counts nothing."""
        folder = self._order_folder(instruction.po, instruction.vendor)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{plain_name(instruction.reference)}.json"
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        write_durably(draft, msgspec.json.encode(_kept(instruction)))
        draft.replace(path)
        sync_folder(folder)

    def _book(self, instruction: Instruction, key: str, *, repeated: bool) -> None:
        line = Attempt(
            reference=instruction.reference,
            key=key,
            amount=instruction.amount.decimal(),
            currency=instruction.amount.currency,
            repeated=repeated,
        )
        with (self.root / ATTEMPTS).open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _file(instruction: Instruction) -> str:
    return f"820-{plain_name(instruction.reference)}.edi"


def _kept(instruction: Instruction) -> Instruction:
    """Return what the bank keeps: who placed the order is not its business."""
    return msgspec.structs.replace(instruction, buyer="")
