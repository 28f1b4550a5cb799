"""The answer in one line: what moved most, by how much, since when, and why."""

from __future__ import annotations

from collections.abc import Sequence

from agentsquad.insight.drift.contract import Change, Culprit, Finding, Look, Window
from agentsquad.insight.drift.feature import CLASSES
from agentsquad.kernel.money import Money

UNITS = {"latency": "ms", "waiting": "ms", "tokens": "tokens"}


def headline(findings: Sequence[Finding]) -> Finding | None:
    """Return the finding to name first: what came out before how it was
    decided, and times last."""
    drifted = [one for one in findings if one.drifted]
    return min(drifted, key=lambda f: (CLASSES.index(f.kind), f.corrected, f.p), default=None)


def answer(
    workflow: str,
    findings: Sequence[Finding],
    since: Window,
    looks: Sequence[Look],
    culprit: Culprit | None,
) -> str:
    """Return the whole report as one sentence."""
    first = headline(findings)
    if first is None:
        tested = len(findings)
        return (
            f"no drift: none of {tested} features of {workflow} differs in {_seen(since, looks)}"
            " from the baseline"
        )
    others = sum(one.drifted for one in findings) - 1
    more = f"; {others} more {'features' if others > 1 else 'feature'} moved" if others else ""
    return f"{moved(first)} since {_day(since.first)}{more}{_blame(culprit)}"


def _seen(since: Window, looks: Sequence[Look]) -> str:
    runs = looks[-1].runs if looks else since.runs
    return f"{runs} runs"


def _day(at: str) -> str:
    return at[:16].replace("T", " ")


def moved(one: Finding) -> str:
    """Return what one feature did, in words with its interval."""
    if one.category is not None:
        what = named(one)
        points = f"{_signed(100 * one.low)} to {_signed(100 * one.high)} points"
        return (
            f"{what} went from {_percent(one.old)} to {_percent(one.new)} (95 % interval {points})"
        )
    low, high = amount(one, one.low, signed=True), amount(one, one.high, signed=True)
    return (
        f"{named(one)} went from {amount(one, one.old)} to {amount(one, one.new)}"
        f" (95 % interval {low} to {high})"
    )


def named(one: Finding) -> str:
    """Return a feature's name, with its category where it has some."""
    name = f"{one.kind} {one.name}" if one.kind in ("tokens", "cost") else one.name
    if one.category is None:
        return name
    return f"{name} = {one.category}"


def amount(one: Finding, value: float, *, signed: bool = False) -> str:
    """Return a number in the unit of its feature."""
    sign = "+" if signed and value > 0 else ""
    if one.kind == "cost" and len(one.name) == 3:
        return f"{sign}{Money(round(value), one.name).decimal()} {one.name}"
    if one.name.endswith(".micros") or _currency(one.name):
        return f"{sign}{Money(round(value), 'USD').decimal()}"
    unit = f" {UNITS[one.kind]}" if one.kind in UNITS and one.name != "model calls" else ""
    return f"{sign}{value:.3g}{unit}" if abs(value) < 1000 else f"{sign}{value:,.0f}{unit}"


def _currency(name: str) -> bool:
    last = name.rpartition(".")[2]
    return len(last) == 3 and last.isupper()


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _signed(points: float) -> str:
    return f"{points:+.0f}"


def _blame(culprit: Culprit | None) -> str:
    if culprit is None:
        return ""
    return f"; {culprit.because}"


def version(changes: Sequence[Change], factor: str) -> str:
    """Return how the log names the new version of a factor, where it names
    one."""
    found = [one for one in changes if one.factor == factor]
    if not found:
        return ""
    first = found[0]
    of = f" of {first.of}" if first.of and factor != "definition" else ""
    new = f"{first.new[:19]}…" if first.new.startswith("sha256:") else first.new
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{of} {new}{more}"
