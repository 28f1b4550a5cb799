"""What cases and whole runs come to: exceptions, money by currency, outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.money import Money
from agentsquad.solutions.purchase_to_pay.contract import Receipt


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exception: its kind, what it is about, and what policy made of it.

    `disposition` is pay, short_pay, hold or reject; `clause` names the rule.
    """

    kind: str
    disposition: str
    because: str
    po: str = ""
    document: str = ""
    line: str = ""
    clause: str = ""

    @property
    def subject(self) -> tuple[str, str, str]:
        """What counts as one exception: lines of one document count once."""
        return self.kind, self.po, self.document


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice or credit note after the match; `matched` of its `lines` are
    on the order."""

    number: str
    date: str
    total: Money
    payable: Money
    disposition: str
    lines: int = 0
    matched: int = 0
    credit: bool = False
    duplicate_of: tuple[str, ...] = ()


class ApprovalGiven(msgspec.Struct, frozen=True, kw_only=True):
    """Who agreed to a payment, or refused it, and why."""

    approver: str
    approved: bool
    reason: str


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one order number ended. Money is in micro-units by currency."""

    po: str
    vendor: str
    outcome: str
    paid: dict[str, int] = {}
    held: dict[str, int] = {}
    credited: dict[str, int] = {}
    exceptions: tuple[Found, ...] = ()
    invoices: tuple[Judged, ...] = ()
    receipt: Receipt | None = None
    approvals: tuple[ApprovalGiven, ...] = ()
    letters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole folder came to; money as decimal strings by currency."""

    folder: str
    files: int
    skipped: dict[str, str]
    acknowledgements: int
    orders: int
    matched: int
    outcomes: dict[str, int]
    exceptions: dict[str, int]
    paid: dict[str, str]
    held: dict[str, str]
    credited: dict[str, str]
    cases: tuple[CaseResult, ...]
    loose: tuple[Found, ...] = ()


def count_kinds(found: Iterable[Found]) -> dict[str, int]:
    """Count exceptions by kind, several lines of one document once."""
    subjects = {one.subject for one in found}
    counts = Counter(kind for kind, _, _ in subjects)
    return dict(sorted(counts.items()))


def add_up(parts: Iterable[Mapping[str, int]]) -> dict[str, str]:
    """Return decimal strings of the sums by currency; nothing is left out but
    zero."""
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(part)
    return {
        currency: Money(micros, currency).decimal()
        for currency, micros in sorted(sums.items())
        if micros
    }


def found_of(given: Any, *, po: str, document: str = "") -> list[Found]:
    """Read exceptions as policy states them."""
    return [
        Found(
            kind=one["kind"],
            disposition=one["disposition"],
            because=one["because"],
            po=po,
            document=one.get("invoice") or document,
            line=one.get("line", ""),
            clause=one["clause"],
        )
        for one in sorted(given, key=lambda one: (one["kind"], one.get("line", "")))
    ]
