"""A folder of files, an outbox and a bank that live as long as a trial.

They differ from the ones on disk in nothing but durability.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentsquad.integrations.connectors.ai.contract import Environment
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.solutions.purchase_to_pay.contract import (
    FileFound,
    FolderError,
    Instruction,
    Listing,
    OutboxConflictError,
    PaymentConflictError,
    Receipt,
    Remitted,
)

ASIDE = ("master.json", "truth.json")  # lie beside the documents and are none


class MemoryFiles:
    """Files by name, whatever the folder is called."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)

    def list(self, folder: str) -> Listing:
        """Return the documents; one still being written is skipped."""
        found, skipped = [], {}
        for name, data in sorted(self._files.items()):
            if "/" in name or name in ASIDE:
                continue
            if name.endswith(".part"):
                skipped[name] = "it is still being written"
                continue
            found.append(FileFound(name=name, size=len(data), digest=digest_bytes(data)))
        return Listing(files=tuple(found), skipped=skipped)

    def read(self, folder: str, name: str) -> bytes:
        """Return the bytes of one file."""
        inner = folder.partition("/")[2]
        try:
            return self._files[f"{inner}/{name}" if inner else name]
        except KeyError:
            raise FolderError(f"there is no file {name!r} in {folder!r}") from None


class MemoryOutbox:
    """Documents by box and name."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], bytes] = {}

    def put(self, box: str, name: str, data: bytes) -> bool:
        """Keep a document; False if the same one was there."""
        known = self.documents.setdefault((box, name), data)
        if known != data:
            raise OutboxConflictError(f"{box}/{name} has left already with other bytes")
        return known is not data

    def holds(self, box: str, name: str) -> bool:
        """Whether a document has left."""
        return (box, name) in self.documents


class MemoryBank:
    """Takes each payment reference once, and keeps everyone's attempts."""

    def __init__(self) -> None:
        self.payments: dict[str, Instruction] = {}
        self.attempts: list[tuple[str, str]] = []

    def send(self, instruction: Instruction, document: bytes, *, key: str) -> Receipt:
        """Take a payment once per reference."""
        known = self.find(instruction)
        self.payments.setdefault(instruction.reference, instruction)
        self.attempts.append((instruction.reference, key))
        return known or self._receipt(instruction, repeated=False)

    def find(self, instruction: Instruction) -> Receipt | None:
        """Return the receipt of a payment, None if it never arrived."""
        known = self.payments.get(instruction.reference)
        if known is None:
            return None
        if known != instruction:
            raise PaymentConflictError(
                f"the bank knows {instruction.reference} with another content",
                hint="a reference is never used for two payments",
            )
        return self._receipt(instruction, repeated=True)

    def settled(self, po: str, vendor: str) -> list[Remitted]:
        """Return what was paid on an order so far."""
        return [
            line
            for one in self.payments.values()
            if (one.po, one.vendor) == (po, vendor)
            for line in one.remitted
        ]

    def _receipt(self, instruction: Instruction, *, repeated: bool) -> Receipt:
        return Receipt(
            reference=instruction.reference,
            amount=instruction.amount,
            file=f"820-{instruction.reference}.edi",
            repeated=repeated,
        )


class Variables:
    """An environment without local models."""

    def get(self, name: str) -> str | None:
        """Return one variable."""
        return "off" if name == "SQUAD_MODELS" else None


class Providing:
    """What rule models need of an installation."""

    def __init__(self, clock: Clock, entropy: Entropy, rules: Mapping[str, Any]) -> None:
        self.environment: Environment = Variables()
        self.clock = clock
        self.entropy = entropy
        self.rules = rules

    def providers(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Return nobody: nothing was applied in a trial."""
        return ()
