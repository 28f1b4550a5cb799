"""Display: a document as text for people, with parties, lines and amounts.

Sets that have a typed reading are laid out as the paper they replace; others,
and acknowledgements, segment by segment with the meaning of their codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentsquad.integrations.formats.x12 import documents as d
from agentsquad.integrations.formats.x12.definition import label, release
from agentsquad.integrations.formats.x12.interchange import (
    Document,
    Interchange,
    Segment,
    Transaction,
)
from agentsquad.integrations.formats.x12.order import require_set

_TA1 = {"A": "accepted", "E": "accepted with errors", "R": "rejected"}
_ACK = _TA1 | {"P": "partly accepted", "M": "rejected", "W": "rejected", "X": "rejected"}
_WIDTH_MAX = 46


def show(document: Document) -> str:
    """Return a document as text, one paragraph for each transaction set."""
    lines: list[str] = []
    for interchange in document.interchanges:
        lines += _interchange(interchange)
    if not document.interchanges:
        lines.append("no X12 interchange")
    return "\n".join(lines).rstrip() + "\n"


def _interchange(interchange: Interchange) -> Iterator[str]:
    get = interchange.header.get
    date, clock = get(9).strip(), get(10).strip()
    yield (
        f"Interchange {interchange.control}  {_side(get(5), get(6))} → {_side(get(7), get(8))}  "
        f"20{date[:2]}-{date[2:4]}-{date[4:6]} {clock[:2]}:{clock[2:4]}"
        f"{'  (test)' if get(15).strip() == 'T' else ''}"
    )
    for ta1 in interchange.acknowledgements:
        status = _TA1.get(ta1.get(4), ta1.get(4))
        yield f"  TA1  interchange {ta1.get(1)} {status}, note {ta1.get(5)}"
    for group in interchange.groups:
        yield f"  Group {group.control}  {group.functional_id}  release {group.version}"
        for transaction in group.transactions:
            yield ""
            yield from (f"    {line}" for line in _transaction(transaction))
    yield ""


def _side(qualifier: str, name: str) -> str:
    return f"{name.strip()} ({qualifier.strip()})"


def _transaction(transaction: Transaction) -> Iterator[str]:
    readers = {
        "850": _order,
        "855": _ack,
        "856": _notice,
        "810": _invoice,
        "820": _payment,
        "997": _response,
        "999": _response,
    }
    definition = release("005010").sets.get(transaction.set_id)
    name = definition.name if definition else "Transaction set"
    yield f"{name} ({transaction.set_id})  control {transaction.control}"
    show_one = readers.get(transaction.set_id, _segments)
    yield from show_one(transaction)


def _segments(transaction: Transaction) -> Iterator[str]:
    for segment in transaction.body:
        yield f"  {segment.tag:<3} {'  '.join(e for e in segment.elements if e)}"


def _parties(parties: Sequence[d.Party]) -> Iterator[str]:
    for one in parties:
        place = " ".join(p for p in (one.city, one.state, one.postal_code, one.country) if p)
        known = f"[{one.id_qualifier} {one.id}]" if one.id else ""
        text = ", ".join(p for p in (one.name, *one.more_names, *one.address, place) if p)
        yield f"  {label('98', one.role) + ':':<16} {' '.join(p for p in (text, known) if p)}"


def _facts(*facts: tuple[str, str]) -> Iterator[str]:
    for name, value in facts:
        if value:
            yield f"  {name + ':':<16} {value}"


def _references(references: Sequence[d.Reference]) -> Iterator[str]:
    for one in references:
        text = " ".join(p for p in (one.value, one.description) if p)
        yield f"  {'Reference ' + one.qualifier + ':':<16} {text}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay out rows in columns; columns whose head ends in ">" are flushed
    right.
    """
    cells = [[c.rstrip(">") for c in head], *[[_short(c) for c in row] for row in rows]]
    used = [n for n in range(len(head)) if any(row[n] for row in cells[1:])]
    widths = {n: max(len(row[n]) for row in cells) for n in used}
    for row in cells if rows else []:
        parts = [
            row[n].rjust(widths[n]) if head[n].endswith(">") else row[n].ljust(widths[n])
            for n in used
        ]
        yield ("  " + "  ".join(parts)).rstrip()


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH_MAX else text[: _WIDTH_MAX - 1] + "…"


def _product(ids: Sequence[d.ProductId]) -> str:
    return " ".join(f"{one.qualifier} {one.value}" for one in ids)


def _charges(charges: Sequence[d.Charge], taxes: Sequence[d.Tax]) -> Iterator[str]:
    for one in charges:
        rate = f" {one.percent}%" if one.percent else ""
        text = f"{one.description or one.code}{rate} {one.amount}"
        yield f"  {label('248', one.kind).capitalize() + ':':<16} {text.strip()}"
    for tax in taxes:
        rate = f" {tax.percent}%" if tax.percent else ""
        yield f"  {'Tax:':<16} {label('963', tax.kind)}{rate} {tax.amount}".rstrip()


def _terms(terms: Sequence[d.Terms]) -> Iterator[str]:
    for one in terms:
        parts = [one.description]
        if one.discount_percent:
            parts.append(f"{one.discount_percent}% within {one.discount_days} days")
        if one.net_days:
            parts.append(f"net {one.net_days} days")
        if any(parts):
            yield f"  {'Terms:':<16} {', '.join(p for p in parts if p)}"


def _order(transaction: Transaction) -> Iterator[str]:
    order = d.read_850(transaction)
    yield from _facts(
        ("Order", f"{order.number}  {label('92', order.kind)}, {label('353', order.purpose)}"),
        ("Date", order.date),
        ("Currency", order.currency),
    )
    yield from _parties(order.parties)
    yield from _references(order.references)
    yield from _terms(order.terms)
    yield from _facts(*[("Note", note) for note in order.notes])
    yield from _table(
        ("line", "quantity>", "unit", "price>", "product", "description"),
        [
            (one.number, one.quantity, one.unit, one.price, _product(one.ids), one.description)
            for one in order.lines
        ],
    )
    yield from _charges(order.charges, ())
    yield from _facts(*[(f"Amount {a.qualifier}", a.value) for a in order.amounts])


def _ack(transaction: Transaction) -> Iterator[str]:
    ack = d.read_855(transaction)
    yield from _facts(
        ("Order", f"{ack.number}  {label('587', ack.status)}"),
        ("Order date", ack.order_date),
        ("Date", ack.date),
        ("Seller's number", ack.seller_reference),
    )
    yield from _parties(ack.parties)
    yield from _table(
        ("line", "quantity>", "unit", "price>", "product", "answer"),
        [
            (
                one.number, one.quantity, one.unit, one.price, _product(one.ids),
                "; ".join(
                    " ".join(p for p in (label("668", a.status), a.quantity, a.unit, a.date) if p)
                    for a in one.answers
                ),
            )
            for one in ack.lines
        ],
    )  # fmt: skip


def _notice(transaction: Transaction) -> Iterator[str]:
    notice = d.read_856(transaction)
    yield from _facts(("Shipment", notice.number), ("Date", f"{notice.date} {notice.time}".strip()))
    for carrier in notice.carriers:
        yield from _facts(("Carrier", " ".join(p for p in (carrier.code, carrier.routing) if p)))
    for one in notice.packaging:
        yield from _facts(("Packed", f"{one.count} {one.code} {one.weight} {one.weight_unit}"))
    yield from _parties(notice.parties)
    yield from _references(notice.references)
    for order in notice.orders:
        yield from _facts(("Order", f"{order.number} {order.date}".strip()))
        yield from _table(
            ("line", "shipped>", "unit", "ordered>", "product", "description", "packages"),
            [
                (
                    one.number, one.quantity, one.unit, one.ordered_quantity,
                    _product(one.ids), one.description, " ".join(one.marks),
                )
                for one in order.lines
            ],
        )  # fmt: skip


def _invoice(transaction: Transaction) -> Iterator[str]:
    invoice = d.read_810(transaction)
    kind = label("640", invoice.kind)
    yield from _facts(
        ("Invoice", f"{invoice.number}  {kind}".strip()),
        ("Date", invoice.date),
        ("Order", f"{invoice.order_number} {invoice.order_date}".strip()),
        ("Currency", invoice.currency),
    )
    yield from _parties(invoice.parties)
    yield from _references(invoice.references)
    yield from _terms(invoice.terms)
    yield from _table(
        ("line", "quantity>", "unit", "price>", "product", "description"),
        [
            (one.number, one.quantity, one.unit, one.price, _product(one.ids), one.description)
            for one in invoice.lines
        ],
    )
    yield from _charges(invoice.charges, invoice.taxes)
    yield from _facts(("Total", f"{invoice.total} {invoice.currency}".strip()))


def _payment(transaction: Transaction) -> Iterator[str]:
    payment = d.read_820(transaction)
    yield from _facts(
        ("Amount", f"{payment.amount} {payment.currency}".strip()),
        ("Method", f"{label('591', payment.method)} {payment.format}".strip()),
        ("Date", payment.date),
        ("Trace", payment.trace),
        ("From account", _account(payment.payer)),
        ("To account", _account(payment.payee)),
    )
    yield from _parties(payment.parties)
    yield from _table(
        ("invoice", "total>", "discount>", "paid>", "adjustments"),
        [
            (
                f"{one.qualifier} {one.number}", one.total, one.discount, one.paid,
                "; ".join(f"{a.amount} ({a.reason})" for a in one.adjustments),
            )
            for one in payment.remittances
        ],
    )  # fmt: skip


def _account(account: d.Account) -> str:
    bank = f"{account.bank_qualifier} {account.bank}".strip()
    return " / ".join(p for p in (bank, account.number) if p)


def _response(transaction: Transaction) -> Iterator[str]:
    """Lay out a 997 or 999: what was accepted, and every note."""
    require_set(transaction, transaction.set_id)
    for segment in transaction.body:
        yield from _response_line(segment)


def _response_line(segment: Segment) -> Iterator[str]:
    get = segment.get
    if segment.tag == "AK1":
        yield f"  Answers group {get(2)} ({get(1)})"
    elif segment.tag == "AK2":
        yield f"  Transaction set {get(1)} {get(2)}"
    elif segment.tag in ("AK3", "IK3"):
        yield f"    segment {get(1)} at {get(2)}: code {get(4)}"
    elif segment.tag in ("AK4", "IK4"):
        yield f"      element {get(1)}: code {get(3)} {get(4)}".rstrip()
    elif segment.tag in ("AK5", "IK5"):
        codes = " ".join(segment.elements[1:])
        yield f"    {_ACK.get(get(1), get(1))} {f'(codes {codes})' if codes else ''}".rstrip()
    elif segment.tag == "AK9":
        yield (
            f"  Group {_ACK.get(get(1), get(1))}: {get(4)} of {get(3)} transaction sets accepted"
        )
    else:
        yield f"    {segment.tag} {' '.join(segment.elements)}"
