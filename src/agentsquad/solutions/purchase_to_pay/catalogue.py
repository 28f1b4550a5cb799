"""The invented companies of the fixtures: who sells what, how they write, what
they charge.

All names, numbers and accounts are fictional. Prices are integers of a
ten-thousandth of the currency unit, so that sub-cent prices stay exact.
"""

from __future__ import annotations

import msgspec

from agentsquad.solutions.purchase_to_pay.emitter import Style

BUYER = ("ZZ", "HARBORLIGHT")
BUYER_NAME = "HARBORLIGHT HOTEL GROUP"
BUYER_STYLE = Style(newline="\n")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Something a vendor sells; `pack` is how many each are in a case."""

    sku: str
    buyer_sku: str
    description: str
    price: int
    pack: int = 1
    unit: str = "EA"
    renamed: tuple[str, str] | None = None


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """An invented vendor. `tax_bp` and `over_bp` are hundredths of a
    percent.
    """

    key: str
    name: str
    address: tuple[str, str, str, str]
    identity: tuple[str, str]
    style: Style
    currency: str
    routing: str
    account: str
    items: tuple[Item, ...]
    tax_bp: int = 0
    tax_code: str = "ST"
    over_bp: int = 0
    account_codes: tuple[str, str] = ("01", "11")
    known: bool = True


def _item(sku: str, text: str, price: int, pack: int = 1, **more: object) -> Item:
    number = sum(ord(c) * (i + 7) for i, c in enumerate(sku)) % 9000 + 1000
    return Item(
        sku=sku,
        buyer_sku=f"HL-{number}",
        description=text,
        price=price,
        pack=pack,
        **more,  # type: ignore[arg-type]
    )


CASCADE = Seller(
    key="cascade", name="CASCADE PAPER GOODS INC", identity=("01", "804735132"), currency="USD",
    address=("2200 MILL RACE RD", "CAMAS", "WA", "98607"), style=Style(newline="\n"),
    routing="990000101", account="30088127", tax_bp=825,
    items=(
        _item("CPG-1040", "HOT CUP 12 OZ WHITE", 425, 1000),
        _item("CPG-1055", "CUP LID 12 OZ BLACK", 310, 1000),
        _item("CPG-2210", "TOILET TISSUE 2 PLY 500 SHEET ROLL", 6200, 96),
        _item("CPG-2240", "FACIAL TISSUE BOX 100 COUNT", 11450, 36),
        _item("CPG-3105", "DINNER NAPKIN WHITE 15X17", 385, 3000),
    ),
)  # fmt: skip
LAKESHORE = Seller(
    key="lakeshore", name="LAKESHORE TOOL AND SUPPLY CO", identity=("12", "6165550142"),
    address=("77 HARBOR ST", "MUSKEGON", "MI", "49440"), currency="USD",
    style=Style(component=":", newline="\r\n"), routing="990000214", account="4410096650",
    items=(
        _item("LT-88012", "CORDLESS DRILL DRIVER 18V KIT", 1295000),
        _item("LT-71530", "LED WORK LIGHT 50W TRIPOD", 648500),
        _item("LT-30117", "SAFETY GLASSES CLEAR ANTI FOG", 32500, 12),
        _item("LT-45006", "STEP LADDER FIBERGLASS 6 FT", 874900),
        _item("LT-12004", "DUCT TAPE SILVER 2 IN X 60 YD", 57400, 24),
    ),
)  # fmt: skip
PRAIRIE = Seller(
    key="prairie", name="PRAIRIE FOODS COOPERATIVE", identity=("ZZ", "PRAIRIEFOODS"),
    address=("1 ELEVATOR RD", "SALINA", "KS", "67401"), currency="USD",
    style=Style(version="005010", element="|", segment="\n"), routing="990000327",
    account="77120043", account_codes=("RT", "AP"),
    items=(
        _item("PF-00121", "ROLLED OATS 25 LB BAG", 189500, 1, unit="BG"),
        _item("PF-00340", "MAPLE SYRUP GRADE A 1 GAL", 512500, 4),
        _item("PF-00455", "COFFEE HOUSE BLEND GROUND 2 LB", 164000, 6),
        _item("PF-00612", "ORANGE JUICE FROZEN CONC 32 OZ", 48800, 12),
        _item("PF-00777", "STRAWBERRY PRESERVES PORTION CUP", 1150, 200),
    ),
)  # fmt: skip
MAPLE = Seller(
    key="maple-ridge", name="MAPLE RIDGE LINEN LTD", identity=("ZZ", "MAPLERIDGE"),
    address=("410 LOOM AVE", "KITCHENER", "ON", "N2G 4M4"), currency="CAD",
    style=Style(version="005010", component="<"), routing="990000430", account="5210077",
    tax_bp=500, tax_code="GS",
    items=(
        _item("MR-BT60", "BATH TOWEL 60X30 WHITE 600 GSM", 94500, 24),
        _item("MR-HT28", "HAND TOWEL 28X16 WHITE 500 GSM", 38900, 60),
        _item("MR-SQ300", "QUEEN FLAT SHEET 300 TC PERCALE", 226000, 12),
        _item("MR-PC300", "PILLOW CASE STANDARD 300 TC PERCALE", 61500, 72),
        _item("MR-RB02", "TERRY ROBE SHAWL COLLAR ONE SIZE", 415000, 6),
    ),
)  # fmt: skip
NORDLYS = Seller(
    key="nordlys", name="NORDLYS BELYSNING AB", identity=("14", "7350041230005"),
    address=("LJUSGATAN 8", "MALMO", "", "21119"), currency="EUR",
    style=Style(element="\x1d", component="\x1f", segment="\x1c"), routing="XNOLSE00",
    account="SE0099000000054910000003",
    items=(
        _item(
            "NB-5501", "BEDSIDE LAMP BRASS E14", 489000,
            renamed=("8805501", "LAMP BEDSIDE E14 BRASS REV 2"),
        ),
        _item(
            "NB-5620", "READING LIGHT WALL LED 3W", 367500,
            renamed=("8805620", "WALL READING LIGHT LED 3W REV 2"),
        ),
        _item("NB-6104", "CORRIDOR SCONCE OPAL GLASS", 724000),
        _item("NB-7002", "LED BULB E27 8W 2700K", 31250, 10),
    ),
)  # fmt: skip
HALVORSEN = Seller(
    key="halvorsen", name="HALVORSEN CLEANING CHEMICALS INC", identity=("01", "112908846"),
    address=("900 SOLVENT WAY", "DAYTON", "OH", "45404"), currency="USD",
    style=Style(segment="'", newline="\r\n"), routing="990000543", account="991200457",
    tax_bp=650, over_bp=200,
    items=(
        _item("HC-D205", "LAUNDRY DETERGENT LIQUID BULK", 21875, 1, unit="GA"),
        _item("HC-B110", "BLEACH SODIUM HYPOCHLORITE BULK", 9425, 1, unit="GA"),
        _item("HC-S400", "FABRIC SOFTENER BULK", 17350, 1, unit="GA"),
        _item("HC-G032", "GLASS CLEANER TRIGGER 32 OZ", 33600, 12),
    ),
)  # fmt: skip
ZELTARA = Seller(
    key="zeltara", name="ZELTARA MARITIME TRADING LLC", identity=("ZZ", "ZELTARAMT"),
    address=("14 QUAY ROAD", "PORT VESPER", "", "00117"), currency="USD",
    style=Style(newline="\n"), routing="990000656", account="60017732",
    items=(
        _item("ZM-TK01", "TEAK DECK CHAIR FOLDING", 1180000),
        _item("ZM-TK07", "TEAK SIDE TABLE 20 IN", 866000),
    ),
)  # fmt: skip
STRANGER = Seller(
    key="stranger", name="BRIGHTWATER FIXTURES LLC", identity=("ZZ", "BRIGHTWATERFX"),
    address=("5 DOCK LN", "TACOMA", "WA", "98402"), currency="USD", style=Style(newline="\n"),
    routing="990000769", account="118820", known=False,
    items=(_item("BW-100", "BRUSHED NICKEL TOWEL BAR 24 IN", 186500),),
)  # fmt: skip

SELLERS = (CASCADE, LAKESHORE, PRAIRIE, MAPLE, NORDLYS, HALVORSEN, ZELTARA)
ORDINARY = (CASCADE, LAKESHORE, PRAIRIE, MAPLE, NORDLYS, HALVORSEN)

# name, primary name on the invented list, other names: one is the vendor above,
# one is deliberately close to an honest vendor so that a screener which matches
# too loosely is caught.
LISTED: tuple[tuple[int, str, str, tuple[str, ...]], ...] = (
    (90001, "ZELTARA SHIPPING GROUP", "VESPER-ARMS", ("ZELTARA MARITIME TRADING LLC",)),
    (90002, "KORVANIA STATE METALS COMBINE", "KORVANIA", ("KSM COMBINE",)),
    (90003, "CASCADIA PULP EXPORT TRUST", "VESPER-ARMS", ("CASCADIA PULP",)),
)
