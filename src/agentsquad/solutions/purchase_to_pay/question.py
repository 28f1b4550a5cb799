"""A question that waits for a person, as lines to read at the prompt.

Pure. Whatever came in with a document is shown without control characters, so
that no file can draw on the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.contract import InboxItem

_KEPT_APART = ("risk", "invoices", "exceptions", "holds", "vendor", "due")
_GAP = "  "


def laid_out(item: InboxItem, people: Sequence[str], place: tuple[int, int]) -> str:
    """Return a question with its evidence; `place` is which of how many so
    far."""
    evidence = item.evidence if isinstance(item.evidence, Mapping) else {}
    asked = item.input if isinstance(item.input, Mapping) else {}
    rows: list[tuple[str, list[str]]] = [
        ("because", [item.because]),
        ("risk", _risk(evidence.get("risk"))),
        ("who may", [f"{', '.join(item.roles) or 'anyone'}: {', '.join(people)}"]),
        ("asked by", [item.requester]),
        ("invoices", _invoices(evidence.get("invoices"))),
        ("exceptions", _texts(evidence.get("exceptions"))),
    ]
    rows += [(_spaced(k), _texts(v)) for k, v in evidence.items() if k not in _KEPT_APART]
    rows = [(name, [_plain(text) for text in texts]) for name, texts in rows if texts]
    width = max(len(name) for name, _ in rows)
    lines = [f"[{place[0]}/{place[1]}] {_plain(_head(item, asked, evidence))}"]
    for name, texts in rows:
        for index, text in enumerate(texts):
            lines.append(f"  {'' if index else name:<{width}}  {text}".rstrip())
    return "\n".join(lines)


def _head(item: InboxItem, asked: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    due = asked.get("amount")
    known = isinstance(due, Mapping) and {"micros", "currency"} <= set(due)
    words = [item.id, item.action]
    if isinstance(due, Mapping) and known:
        words.append(str(Money(int(due["micros"]), str(due["currency"]))))
    if evidence.get("vendor"):
        words.append(f"to {evidence['vendor']}" if known else str(evidence["vendor"]))
    return _GAP.join(words)


def _risk(risk: Any) -> list[str]:
    if not isinstance(risk, Mapping):
        return _texts(risk)
    reasons = ", ".join(_spaced(str(one)) for one in risk.get("reasons", ()))
    score = f"{risk.get('level', 'unknown')} (score {risk.get('score', '?')})"
    return [f"{score}: {reasons}" if reasons else score]


def _invoices(invoices: Any) -> list[str]:
    """Return one line an invoice: number, date, total, what matched, what is
    wrong with it."""
    if not isinstance(invoices, Sequence) or not all(isinstance(i, Mapping) for i in invoices):
        return _texts(invoices)
    cells = [
        [str(one.get(name, "")) for name in ("number", "date", "total", "match")]
        for one in invoices
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for one, row in zip(invoices, cells, strict=True):
        shown = _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        wrong = ", ".join(_spaced(str(kind)) for kind in one.get("exceptions", ()))
        pays = one.get("payable", "")
        more = [f"pays {pays}" if pays and pays != one.get("total") else "", wrong]
        lines.append(_GAP.join([shown, *filter(None, more)]).rstrip())
    return lines


def _texts(value: Any) -> list[str]:
    """Return any value as lines; nothing for what is empty."""
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, Mapping):
        parts = ((k, _texts(v)) for k, v in value.items())
        return [", ".join(f"{_spaced(str(k))} {' '.join(v)}" for k, v in parts if v)]
    return [str(value)]


def _spaced(name: str) -> str:
    head, colon, rest = name.partition(":")
    return head.replace("_", " ") + colon + rest


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
