"""What a case is given, and what it has come to so far."""

from __future__ import annotations

import msgspec

from agentsquad.solutions.purchase_to_pay.actions import (
    DRAFTER,
)
from agentsquad.solutions.purchase_to_pay.case import Case
from agentsquad.solutions.purchase_to_pay.contract import Payer
from agentsquad.solutions.purchase_to_pay.master import Vendor
from agentsquad.solutions.purchase_to_pay.matching import Progress
from agentsquad.solutions.purchase_to_pay.result import (
    Found,
    Judged,
)
from agentsquad.solutions.purchase_to_pay.screening import Screening

CASE = "purchase-to-pay-case"
REQUESTER = "agent:p2p-drafter"
APPROVAL_MS = 14 * 24 * 3_600_000


class CaseInput(msgspec.Struct, frozen=True, kw_only=True):
    """A case and what is known of its vendor."""

    case: Case
    vendor: Vendor | None = None
    buyer: Payer = Payer()
    screening: Screening | None = None
    thresholds: dict[str, int] = {}
    drafter: str = DRAFTER


class Work(msgspec.Struct, kw_only=True):
    """What a case has come to so far; local to one run."""

    judged: list[Judged] = []
    exceptions: list[Found] = []
    notes: list[str] = []
    suspicion: int = 0
    progress: Progress = Progress()
