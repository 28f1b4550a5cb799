"""The counterparty of a rehearsal: it takes effects, keeps a ledger of them by
idempotency key, and can be asked what became of one.

It does nothing. Like a good bank it performs a key once and answers a repeated
one as the first time; like an auditor it counts every arrival.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.runtime.determinism.rehearsal.recorded import Answer


class Delivery(msgspec.Struct, kw_only=True):
    """One key: what was asked, how often it arrived, and what was answered."""

    key: str
    run: str
    position: str
    action: str
    input: Any
    arrived: int = 0
    answer: Answer = Answer()

    @property
    def performed(self) -> bool:
        """Whether it took effect; what was refused did not."""
        return self.answer.error is None


class Counterparty:
    """Everything that reached the other side in one rehearsal."""

    def __init__(self) -> None:
        self.deliveries: dict[str, Delivery] = {}

    def knows(self, key: str) -> bool:
        """Whether a key has arrived."""
        return key in self.deliveries

    def take(self, delivery: Delivery) -> Any:
        """Take an effect and answer it; raises what it was refused with."""
        known = self.deliveries.setdefault(delivery.key, delivery)
        known.arrived += 1
        if known.answer.error is not None:
            raise errors.restore(known.answer.error)
        return known.answer.output

    def find(self, key: str) -> dict[str, Any]:
        """Return what a reconciling action answers about a key."""
        known = self.deliveries.get(key)
        if known is None or not known.performed:
            return {"found": False}
        return {"found": True, "output": known.answer.output}
