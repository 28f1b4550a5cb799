"""Cost: what was spent, by run, agent, step or model, straight from the events.

Laws: every figure is a sum of `usage` entries of events, so any grouping has
the same total; a call whose price is unknown adds nothing and is counted as
unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.event import Event
from agentsquad.kernel.money import Money

GROUPS = ("run", "agent", "step", "model")


class Line(msgspec.Struct, kw_only=True):
    """One group's spending; `cost` maps currencies to decimal strings."""

    name: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unknown: int = 0
    cost: dict[str, str] = {}


class Report(msgspec.Struct, kw_only=True):
    """Spending by group, dearest first, and its total; `unknown` calls had no
    price."""

    by: str
    items: list[Line]
    total: dict[str, str]
    calls: int
    unknown: int


class Ledger:
    """Adds usage up while events go by, in the order of the log."""

    def __init__(self, by: str) -> None:
        if by not in GROUPS:
            raise InvalidError(
                f"cannot group cost by {by!r}", code="cost.by", hint=f"one of {', '.join(GROUPS)}"
            )
        self.by = by
        self._agents: dict[str, str] = {}
        self._lines: dict[str, Line] = {}
        self._micros: dict[str, dict[str, int]] = {}

    def add(self, event: Event) -> None:
        """Take one event into account."""
        body = event.payload or {}
        run = event.stream.removeprefix("run/")
        if event.type == "run.started":
            value = body.get("input")
            if body.get("workflow") == "agent-turn" and isinstance(value, dict):
                self._agents[run] = str(value.get("agent"))
            return
        for usage in body.get("usage") or ():
            self._count(self._name(run, body, usage), usage)

    def _name(self, run: str, body: dict[str, Any], usage: dict[str, Any]) -> str:
        if self.by == "run":
            return run.partition("/")[0]
        if self.by == "agent":
            return self._agents.get(run, "(no agent)")
        if self.by == "step":
            return str(body.get("name") or body.get("action") or "(step)")
        return str(usage.get("model") or "(no model)")

    def _count(self, name: str, usage: dict[str, Any]) -> None:
        line = self._lines.setdefault(name, Line(name=name))
        line.calls += 1
        line.input_tokens += usage.get("input_tokens") or 0
        line.output_tokens += usage.get("output_tokens") or 0
        micros = usage.get("cost_micros")
        if micros is None:
            line.unknown += 1
            return
        spent = self._micros.setdefault(name, {})
        currency = usage.get("currency") or "USD"
        spent[currency] = spent.get(currency, 0) + micros

    def report(self) -> Report:
        """Return everything added up so far."""
        total: dict[str, int] = {}
        for name, spent in self._micros.items():
            self._lines[name].cost = decimals(spent)
            for currency, micros in spent.items():
                total[currency] = total.get(currency, 0) + micros
        lines = sorted(
            self._lines.values(),
            key=lambda line: (-sum(self._micros.get(line.name, {}).values()), line.name),
        )
        return Report(
            by=self.by,
            items=lines,
            total=decimals(total),
            calls=sum(line.calls for line in lines),
            unknown=sum(line.unknown for line in lines),
        )


def decimals(micros: dict[str, int]) -> dict[str, str]:
    """Return amounts as decimal strings by currency."""
    return {c: Money(m, c).decimal() for c, m in sorted(micros.items())}


def report(events: Iterable[Event], by: str) -> Report:
    """Return the spending in a sequence of events."""
    ledger = Ledger(by)
    for event in events:
        ledger.add(event)
    return ledger.report()
