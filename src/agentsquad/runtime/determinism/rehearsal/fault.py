"""Faults a rehearsal can be given, each at a numbered point of the run.

A fault hits the n-th append, call or event of the whole rehearsal, counted from
1 over all lives of the engine, so that the same fault in the same rehearsal
always hits the same point.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal[
    "crash-before",  # the process dies right before the n-th append is durable
    "crash-after",  # … right after it, before the engine hears of it
    "lost-before",  # the n-th call gets no answer, and did not arrive (yet)
    "lost-after",  # the n-th call gets no answer, and did arrive
    "late",  # the n-th call is answered after `ms`
    "twice",  # what the n-th event tells of is delivered once more
]
KINDS: tuple[Kind, ...] = (
    "crash-before",
    "crash-after",
    "lost-before",
    "lost-after",
    "late",
    "twice",
)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong."""

    kind: Kind
    at: int
    ms: int = 0


class Faults:
    """The faults of a rehearsal by where they strike."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self.appends = {f.at: f for f in faults if f.kind.startswith("crash-")}
        self.calls = {f.at: f for f in faults if f.kind in ("lost-before", "lost-after", "late")}
        self.events = {f.at: f for f in faults if f.kind == "twice"}
