"""Standing: how transactions stand, folded from their events, and what is to be
done about each, as pure functions.

Presumed abort (Mohan, Lindsay and Obermarck, 1986): what nobody decided did not
happen. The decision is one event that must be the second of its stream, so a
coordinator that was asleep while another decided learns of it when it writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.runtime.ledger.projection import Projection, Table, Tables
from agentsquad.runtime.transactions.contract import BEGUN, DECIDED, DONE, STREAM


def fold_open(tables: Tables, event: Event) -> None:
    """Keep which transactions have not ended everywhere."""
    key = event.stream.removeprefix(STREAM)
    if event.type == BEGUN:
        tables.put(NAME, {"key": key, "seq": event.seq, "ended": 0})
    elif (row := tables.get(NAME, key)) is not None:
        tables.put(NAME, {**row, "ended": 1})


NAME = "transactions"
OPEN = Projection(
    NAME,
    1,
    (Table(NAME, ("key",), ("seq", "ended"), (("ended", "seq"), ("seq",))),),
    fold_open,
    (BEGUN, DONE),
)


class Branch(msgspec.Struct, frozen=True):
    """A transaction's part in one database."""

    database: str
    gid: str


class Standing(msgspec.Struct, kw_only=True):
    """One transaction; `commit` is None while nothing is decided."""

    key: str
    run: str
    position: str
    since: str
    begun_ms: int
    timeout_ms: int
    branches: tuple[Branch, ...]
    commit: bool | None = None
    output: Any = None
    reason: str = ""
    ended: bool = False
    version: int = 1

    @property
    def state(self) -> str:
        """A word for people."""
        if self.commit is None:
            return "undecided"
        done = "committed" if self.commit else "aborted"
        return done if self.ended else f"{done}, not everywhere yet"

    def overdue(self, now_ms: int) -> bool:
        """Whether whoever began it had time enough to decide."""
        return self.commit is None and now_ms > self.begun_ms + self.timeout_ms


def fold(events: Iterable[Event]) -> dict[str, Standing]:
    """Return how each transaction of some events stands, by key, in order."""
    found: dict[str, Standing] = {}
    for event in events:
        key, body = event.stream.removeprefix(STREAM), event.payload or {}
        if event.type == BEGUN:
            found[key] = Standing(
                key=key,
                run=body["run"],
                position=body["position"],
                since=event.at.partition("/")[0],
                begun_ms=body["at_ms"],
                timeout_ms=body["timeout_ms"],
                branches=tuple(Branch(**one) for one in body["parts"]),
            )
            continue
        standing = found[key]
        standing.version = event.stream_seq
        if event.type == DECIDED:
            standing.commit = body["commit"]
            standing.output, standing.reason = body.get("output"), body.get("reason", "")
        else:
            standing.ended = True
    return found
