"""Bank: the other side, which moves money and remembers what it moved.

It never fails, so that its ledger is the truth. Three ways of asking it stand
for three kinds of counterparty: `keyed` knows a key again and pays once,
`fenced` pays whatever arrives but can be asked whether a key arrived (and then
takes nothing older any more), `blind` pays whatever arrives and tells nobody.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.testing.simulator.network import Message
from agentsquad.testing.simulator.trace import Trace

REFUSED = 13  # amounts divisible by it are refused, before anything moves


class Transfer(msgspec.Struct, frozen=True):
    """Money that moved: why (the action), under which key, how much."""

    action: str
    key: str
    n: int


class Bank:
    """The counterparty; `moved` hears of each transfer as it happens."""

    def __init__(self, trace: Trace, moved: Callable[[Transfer], None]) -> None:
        self._trace = trace
        self._moved = moved
        self.transfers: list[Transfer] = []
        self._closed: dict[str, int] = {}  # newest connection that asked for a key

    async def answer(self, message: Message) -> Message:
        """Answer one message."""
        key, connection = message["key"], message["connection"]
        known = [one for one in self.transfers if one.key == key]
        if message["op"] == "find":
            self._closed[key] = connection
            return {"found": bool(known), "n": known[0].n if known else None}
        n = message["n"]
        if n % REFUSED == 0 and n > 0:
            raise InvalidError("the bank refuses this amount", code="bank.refused")
        if message["way"] == "keyed" and known:
            return {"n": known[0].n}
        if connection < self._closed.get(key, 0):
            raise InvalidError("this connection was closed", code="bank.closed")
        transfer = Transfer(message["action"], key, n)
        self.transfers.append(transfer)
        self._trace.note("bank", f"moves {n} for {transfer.action} {key[:8]}")
        self._moved(transfer)
        return {"n": n}

    def count(self, key: str) -> int:
        """Return how often a key moved money."""
        return sum(one.key == key for one in self.transfers)
