"""Generates any number of orders as files of real-looking partners, with the
answer beside them.

Pure: the same number and seed give the same bytes. The answer (`truth.json`)
follows from the stories alone, never from the code that reads, matches or pays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.solutions.purchase_to_pay import catalogue as c
from agentsquad.solutions.purchase_to_pay import paperwork, scenario
from agentsquad.solutions.purchase_to_pay.catalogue import Seller
from agentsquad.solutions.purchase_to_pay.emitter import Envelope, Transaction, write_interchange
from agentsquad.solutions.purchase_to_pay.facts import Bill, Draw, Goods, Purchase, Story

ORDERS_MAX = 100_000
_EXTENSION = {"cascade": "edi", "lakeshore": "x12", "prairie": "txt"}
_LINE_CENTS = ((15_000, 60_000), (80_000, 240_000), (400_000, 900_000), (7_500_000, 9_000_000))
_SIZES = (0, 0, 1, 1, 0, 2, 1, 0, 1, 0, 0, 1)


class Parcelled(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction on its way into a file."""

    seller: Seller
    day: int
    transaction: Transaction
    outbound: bool = False
    trailer_offset: int = 0


class FixtureSet(msgspec.Struct, frozen=True, kw_only=True):
    """File name to bytes, and the known answer as a JSON object."""

    files: dict[str, bytes]
    truth: dict[str, object]


def generate(orders: int, seed: int) -> FixtureSet:
    """Return the files of `orders` purchase orders, and what they must come
    to.
    """
    if not 1 <= orders <= ORDERS_MAX:
        raise InvalidError(
            f"cannot generate {orders} orders",
            code="p2p.orders",
            hint=f"ask for 1 to {ORDERS_MAX}",
        )
    stories = tell(orders, seed)
    strays = _strays(orders)
    files = papers([*_documents(stories), *(stray for _, _, stray in strays)])
    files.update(_oddities(files))
    truth = _truth(stories, strays, orders, seed)
    files["truth.json"] = _json(truth)
    return FixtureSet(files=dict(sorted(files.items())), truth=truth)


def folder_of(stories: Sequence[Story]) -> dict[str, bytes]:
    """Return the files of these stories alone, with master and lists."""
    return papers(_documents(stories))


def papers(parcelled: Sequence[Parcelled]) -> dict[str, bytes]:
    """Return transactions as files, with the vendor master and the sanctions
    list beside them."""
    files = _files(parcelled)
    files["master.json"] = _json(_master())
    files.update(_sanctions())
    return files


def tell(orders: int, seed: int) -> list[Story]:
    """Return the stories: blocks of 25 kinds, each block shuffled by the
    seed.
    """
    draw = Draw(f"agent-squad/p2p/{seed}")
    kinds: list[str] = []
    while len(kinds) < orders:
        kinds += draw.shuffle(list(scenario.MIX))
    turns: Counter[str] = Counter()
    stories = []
    for index, kind in enumerate(kinds[:orders]):
        sellers = scenario.SELLER_OF.get(kind, c.ORDINARY)
        seller = sellers[turns[kind] % len(sellers)]
        if kind not in scenario.SELLER_OF:
            seller = sellers[turns[""] % len(sellers)]
            turns[""] += 1
        huge = kind == "clean" and turns[kind] % 5 == 0
        turns[kind] += 1
        size = _LINE_CENTS[3 if huge else _SIZES[index % len(_SIZES)]]
        stories.append(scenario.KINDS[kind](_setting((index, kind, size), seller, draw)))
    return stories


def _setting(
    place: tuple[int, str, tuple[int, int]], seller: Seller, draw: Draw
) -> scenario.Setting:
    index, kind, (low, high) = place
    items = scenario.choose_items(kind, seller)
    count = min(len(items), draw.between(1, 4))
    start = draw.below(len(items))
    goods = []
    for step in range(count):
        item = items[(start + step) % len(items)]
        cents = draw.between(low, high)
        packs = max(3, cents * 100 // (item.price * item.pack))
        goods.append(Goods(item=item, quantity=packs * item.pack, price=item.price, unit=item.unit))
    purchase = Purchase(
        goods=tuple(goods),
        day=index // 4,
        buyer=scenario.BUYERS[draw.below(len(scenario.BUYERS))],
        freight=draw.between(20, 90) * 100 if draw.below(3) == 0 else 0,
    )
    return scenario.Setting(
        index=index, po=str(4_500_210_000 + index), seller=seller, draw=draw, purchase=purchase
    )


def _strays(orders: int) -> list[tuple[str, Bill, Parcelled]]:
    """Invoices that belong to no order: one for an unknown number, one from a
    stranger.
    """
    out = []
    for kind, seller, po in (
        ("missing_order", c.LAKESHORE, "4500990001"),
        ("unknown_partner", c.STRANGER, "BW-77120"),
    ):
        item = seller.items[0]
        goods = (Goods(item=item, quantity=6, price=item.price, unit=item.unit),)
        bill = Bill(
            number=f"{seller.key[:2].upper()}-{70_001 + orders}", day=9, goods=goods,
            seller=seller, account=seller.account, tax_bp=seller.tax_bp,
        )  # fmt: skip
        paper = paperwork.stray_invoice(seller, po, bill)
        out.append((kind, bill, Parcelled(seller=seller, day=9, transaction=paper)))
    return out


def _documents(stories: Sequence[Story]) -> list[Parcelled]:
    out = []
    for story in stories:
        seller = story.seller
        for purchase in story.purchases:
            paper = paperwork.order_850(story, purchase)
            out.append(Parcelled(seller=seller, day=purchase.day, transaction=paper, outbound=True))
        last = story.purchases[-1].day
        paper = paperwork.confirmation_855(story)
        out.append(Parcelled(seller=seller, day=last + 1, transaction=paper))
        for parcel in story.parcels:
            paper = paperwork.shipment_856(story, parcel)
            out.append(Parcelled(seller=seller, day=parcel.day, transaction=paper))
        for bill in story.bills:
            paper = paperwork.invoice_810(story, bill)
            offset = 9 if bill.fault == "iea" else 0
            out.append(
                Parcelled(seller=seller, day=bill.day, transaction=paper, trailer_offset=offset)
            )
    return out


def _files(papers: Sequence[Parcelled]) -> dict[str, bytes]:
    """Put what a seller sends of one kind within three days into one
    interchange.

    A faulty trailer rejects everything before it, so such a file holds only its
    own transaction.
    """
    batches: dict[tuple[object, ...], list[Parcelled]] = {}
    for index, paper in enumerate(papers):
        alone = index if paper.trailer_offset else None
        key = (paper.outbound, paper.seller.key, paper.transaction.code, paper.day // 3, alone)
        batches.setdefault(key, []).append(paper)
    controls: Counter[tuple[str, str]] = Counter()
    files = {}
    ordered = sorted(batches.values(), key=lambda b: (max(p.day for p in b), b[0].seller.key))
    for batch in ordered:
        first, day = batch[0], max(p.day for p in batch)
        seller = first.seller
        sender, receiver = seller.identity, c.BUYER
        if first.outbound:
            sender, receiver = receiver, sender
        controls[sender] += 1
        control = controls[sender] + sum(map(ord, sender[1])) % 700 * 10
        envelope = Envelope(
            sender=sender, receiver=receiver, date=paperwork.date_of(day),
            time=f"{6 + control % 12:02d}{control % 60:02d}", control=control,
            trailer_offset=first.trailer_offset,
        )  # fmt: skip
        style = c.BUYER_STYLE if first.outbound else seller.style
        extension = "edi" if first.outbound else _EXTENSION.get(seller.key, "x12")
        who = f"to-{seller.key}" if first.outbound else seller.key
        name = f"{envelope.date}-{who}-{first.transaction.code}-{control:09d}.{extension}"
        files[name] = write_interchange(style, envelope, [p.transaction for p in batch])
    return files


def _oddities(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """One file delivered twice under another name, one still being written."""
    invoice = next(name for name in sorted(files) if "-810-" in name)
    stem, _, extension = invoice.rpartition(".")
    return {
        f"{stem}-resent.{extension}": files[invoice],
        f"{stem}-next.{extension}.part": files[invoice][: len(files[invoice]) // 2],
    }


def _master() -> dict[str, object]:
    return {
        "buyer": {"name": c.BUYER_NAME, "identity": "ZZ:HARBORLIGHT"},
        "vendors": [
            {
                "key": s.key,
                "name": s.name,
                "identity": ":".join(s.identity),
                "currency": s.currency,
                "routing": s.routing,
                "account": s.account,
                "tax_bp": s.tax_bp,
                "over_bp": s.over_bp,
                "city": s.address[1],
            }
            for s in c.SELLERS
        ],
    }


def _sanctions() -> dict[str, bytes]:
    """Write the invented sanctions list in the published OFAC layout: no
    header, -0- for null.
    """
    null = "-0- "
    names, others, places = [], [], []
    for number, name, program, aliases in c.LISTED:
        blanks = ",".join([null] * 7)
        names.append(f'{number},"{name}",{null},"{program}",{blanks},"Invented."')
        places.append(f'{number},{number * 10},"1 QUAY ROAD","PORT VESPER","Vesperia",{null}')
        for step, alias in enumerate(aliases):
            others.append(f'{number},{number * 10 + step},"aka","{alias}",{null}')
    return {
        f"sanctions/{stem}.csv": ("\r\n".join(rows) + "\r\n").encode()
        for stem, rows in (("sdn", names), ("alt", others), ("add", places))
    }


def _truth(
    stories: Sequence[Story], strays: Sequence[tuple[str, Bill, Parcelled]], orders: int, seed: int
) -> dict[str, object]:
    paid: Counter[str] = Counter()
    held: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    cases = []
    for story in stories:
        end, currency = story.expected, story.seller.currency
        paid[currency] += end.paid
        held[currency] += end.held
        kinds.update(end.exceptions)
        cases.append(
            {
                "po": story.po,
                "vendor": story.seller.key,
                "kind": story.kind,
                "currency": currency,
                "outcome": end.outcome,
                "paid": _money(end.paid),
                "held": _money(end.held),
                "credited": _money(end.credited),
                "exceptions": list(end.exceptions),
            }
        )
    for kind, bill, _ in strays:
        held[bill.seller.currency] += bill.total
        kinds[kind] += 1
    return {
        "orders": orders,
        "seed": seed,
        "paid": {k: _money(v) for k, v in sorted(paid.items()) if v},
        "held": {k: _money(v) for k, v in sorted(held.items()) if v},
        "exceptions": dict(sorted(kinds.items())),
        "cases": cases,
    }


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
