"""Ship notices: 856 as values; its tree of HL levels is read into orders and
lines, and built again.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agentsquad.integrations.formats.x12 import details as d
from agentsquad.integrations.formats.x12.builder import Draft, segment
from agentsquad.integrations.formats.x12.interchange import Segment, Transaction
from agentsquad.integrations.formats.x12.order import first, require_set


class ShippedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One shipped item (HL level I): LIN, SN1. `marks` are those of the
    packages around it.
    """

    number: str = ""
    quantity: str = ""
    unit: str = ""
    ordered_quantity: str = ""
    ordered_unit: str = ""
    shipped_to_date: str = ""
    status: str = ""
    ids: tuple[d.ProductId, ...] = ()
    description: str = ""
    marks: tuple[str, ...] = ()
    references: tuple[d.Reference, ...] = ()
    dates: tuple[d.Moment, ...] = ()


class ShippedOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a shipment that belongs to one order (HL level O): PRF and
    its lines.
    """

    number: str
    date: str = ""
    release: str = ""
    references: tuple[d.Reference, ...] = ()
    parties: tuple[d.Party, ...] = ()
    packaging: tuple[d.Packaging, ...] = ()
    lines: tuple[ShippedLine, ...] = ()


class ShipNotice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An advance ship notice (856). `structure` "0001" packs in orders, "0004"
    no packs.
    """

    number: str
    date: str
    time: str = ""
    purpose: str = "00"
    structure: str = ""
    carriers: tuple[d.Carrier, ...] = ()
    packaging: tuple[d.Packaging, ...] = ()
    references: tuple[d.Reference, ...] = ()
    dates: tuple[d.Moment, ...] = ()
    parties: tuple[d.Party, ...] = ()
    orders: tuple[ShippedOrder, ...] = ()
    line_count: str = ""
    hash_total: str = ""

    @property
    def lines(self) -> Iterator[tuple[str, ShippedLine]]:
        """Every line with the number of its order."""
        for order in self.orders:
            for line in order.lines:
                yield order.number, line


_DEPTH_MAX = 16


class _Level:
    """One HL loop while reading: its segments and its way up."""

    __slots__ = ("code", "parent", "segments")

    def __init__(self, code: str, parent: _Level | None, segments: list[Segment]) -> None:
        self.code = code
        self.parent = parent
        self.segments = segments

    def up(self) -> Iterator[_Level]:
        """Yield this level and those around it, innermost first.

        No more than any real file nests, so that a chain of levels made up to
        be long costs no more than its length.
        """
        level: _Level | None = self
        for _ in range(_DEPTH_MAX):
            if level is None:
                return
            yield level
            level = level.parent


def read_856(transaction: Transaction) -> ShipNotice:
    """Read a ship notice; X12ReadError if it is another set."""
    require_set(transaction, "856")
    levels = _levels(transaction.body)
    begin = first(transaction.body, "BSN")
    shipment = d.collect(s for lv in levels if lv.code == "S" for s in lv.segments)
    count = first([s for s in transaction.body if s.tag == "CTT"], "CTT")
    return ShipNotice(
        purpose=begin.get(1),
        number=begin.get(2).strip(),
        date=d.iso_date(begin.get(3)),
        time=d.iso_time(begin.get(4)),
        structure=begin.get(5),
        carriers=shipment.carriers,
        packaging=shipment.packaging,
        references=shipment.references,
        dates=shipment.dates,
        parties=shipment.parties,
        orders=_orders(levels),
        line_count=count.get(1),
        hash_total=count.get(2),
    )


def _levels(body: tuple[Segment, ...]) -> list[_Level]:
    levels: list[_Level] = []
    known: dict[str, _Level] = {}
    for one in body:
        if one.tag == "HL":
            level = _Level(one.get(3), known.get(one.get(2)), [one])
            levels.append(level)
            known[one.get(1)] = level
        elif one.tag == "CTT":
            break
        elif levels:
            levels[-1].segments.append(one)
    return levels


def _orders(levels: list[_Level]) -> tuple[ShippedOrder, ...]:
    """Give each item to the nearest order above it; items under none share an
    order without number.
    """
    lines: dict[int, list[ShippedLine]] = {}
    heads: dict[int, _Level | None] = {}
    for level in levels:
        if level.code == "O":
            heads[id(level)] = level
            lines[id(level)] = []
    for level in levels:
        if level.code == "I":
            order = next((up for up in level.up() if up.code == "O"), None)
            heads.setdefault(id(order), order)
            lines.setdefault(id(order), []).append(_line(level))
    return tuple(_order(head, lines[key]) for key, head in heads.items())


def _order(level: _Level | None, lines: list[ShippedLine]) -> ShippedOrder:
    segments = level.segments if level else []
    reference, found = first(segments, "PRF"), d.collect(segments)
    return ShippedOrder(
        number=reference.get(1).strip(),
        release=reference.get(2),
        date=d.iso_date(reference.get(4)),
        references=found.references,
        parties=found.parties,
        packaging=found.packaging,
        lines=tuple(lines),
    )


def _line(level: _Level) -> ShippedLine:
    item, shipped = first(level.segments, "LIN"), first(level.segments, "SN1")
    found = d.collect(level.segments)
    around = d.collect(s for up in level.up() for s in up.segments if s.tag == "MAN")
    return ShippedLine(
        number=item.get(1) or shipped.get(1),
        quantity=shipped.get(2),
        unit=shipped.get(3),
        shipped_to_date=shipped.get(4),
        ordered_quantity=shipped.get(5),
        ordered_unit=shipped.get(6),
        status=shipped.get(8),
        ids=d.product_ids(item.elements[1:]),
        description=found.description,
        marks=around.marks,
        references=found.references,
        dates=found.dates,
    )


def write_856(notice: ShipNotice) -> Draft:
    """Write a ship notice: shipment, orders, packs where lines have marks,
    items.

    Neighbouring lines with the same marks share a pack. CTT counts HL segments
    unless stated.
    """
    packed = any(line.marks for _, line in notice.lines)
    rows: list[d.Row] = [
        segment(
            "BSN", notice.purpose, notice.number, d.x12_date(notice.date),
            d.x12_time(notice.time), notice.structure or ("0001" if packed else "0004"),
        )
    ]  # fmt: skip
    tree = _Tree(rows)
    shipment = tree.add("S", 0)
    rows += d.packaging_rows(notice.packaging)
    rows += d.carrier_rows(notice.carriers)
    rows += d.reference_rows(notice.references)
    rows += d.moment_rows(notice.dates)
    rows += d.party_rows(notice.parties)
    for order in notice.orders:
        parent = tree.add("O", shipment)
        rows.append(segment("PRF", order.number, order.release, "", d.x12_date(order.date)))
        rows += d.packaging_rows(order.packaging)
        rows += d.reference_rows(order.references)
        rows += d.party_rows(order.parties)
        _add_lines(tree, parent, order.lines)
    rows = tree.finish()
    rows.append(segment("CTT", notice.line_count or str(tree.count), notice.hash_total))
    return Draft(set_id="856", segments=tuple(rows))


class _Tree:
    """HL segments while writing: numbers them and knows which have children."""

    def __init__(self, rows: list[d.Row]) -> None:
        self.rows = rows
        self.count = 0
        self._parents: set[int] = set()

    def add(self, code: str, parent: int) -> int:
        self.count += 1
        self._parents.add(parent)
        self.rows.append(segment("HL", str(self.count), str(parent) if parent else "", code))
        return self.count

    def finish(self) -> list[d.Row]:
        """Return the rows with HL04 filled in: does the level have children?"""
        done = []
        for row in self.rows:
            if row[0] == "HL":
                row = (*row, "1" if int(row[1]) in self._parents else "0")
            done.append(row)
        return done


def _add_lines(tree: _Tree, order: int, lines: tuple[ShippedLine, ...]) -> None:
    pack, marks = order, ()  # type: tuple[int, tuple[str, ...]]
    for line in lines:
        if line.marks != marks:
            marks, pack = line.marks, order
            if marks:
                pack = tree.add("P", order)
                tree.rows += [segment("MAN", "GM", mark) for mark in marks]
        tree.add("I", pack)
        tree.rows.append(segment("LIN", line.number, *d.id_elements(line.ids)))
        tree.rows.append(
            segment(
                "SN1", line.number, line.quantity, line.unit, line.shipped_to_date,
                line.ordered_quantity, line.ordered_unit, "", line.status,
            )
        )  # fmt: skip
        tree.rows += d.description_rows([line.description] if line.description else [])
        tree.rows += d.reference_rows(line.references)
        tree.rows += d.moment_rows(line.dates)
