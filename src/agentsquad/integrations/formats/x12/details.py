"""Details: what business documents share, parties, references, dates, terms,
charges, taxes.

Amounts, quantities and prices are decimal strings exactly as meant ("19.950"
stays so); amounts with implied decimals (N2) are given their point. Dates are
ISO where they were valid dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from agentsquad.integrations.formats.contract import X12ValueError
from agentsquad.integrations.formats.x12.builder import segment
from agentsquad.integrations.formats.x12.interchange import Segment

Row = tuple[str, ...]

_LETTER = "L1"  # N9 that only introduces free text is no reference


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A number by which somebody knows something (REF); `qualifier` says
    whose, e.g. "PO", "IA".
    """

    qualifier: str
    value: str = ""
    description: str = ""


class Moment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A date or time with its meaning (DTM), e.g. qualifier "002" delivery
    requested.
    """

    qualifier: str
    date: str = ""
    time: str = ""
    zone: str = ""


class ContactNumber(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a contact: kind "TE" telephone, "EM" e-mail, "FX" fax."""

    kind: str
    value: str


class Contact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person or desk (PER)."""

    function: str
    name: str = ""
    numbers: tuple[ContactNumber, ...] = ()


class Party(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A company in a role (N1 loop): "BY" buyer, "SU" or "VN" supplier, "ST"
    ship to, "RE" remit to.
    """

    role: str
    name: str = ""
    id_qualifier: str = ""
    id: str = ""
    more_names: tuple[str, ...] = ()
    address: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    references: tuple[Reference, ...] = ()
    contacts: tuple[Contact, ...] = ()


class ProductId(msgspec.Struct, frozen=True, kw_only=True):
    """One name of a product: qualifier "VN" vendor's, "BP" buyer's, "UP" UPC,
    "EN" EAN.
    """

    qualifier: str
    value: str


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Terms of sale (ITD)."""

    kind: str = ""
    basis: str = ""
    discount_percent: str = ""
    discount_date: str = ""
    discount_days: str = ""
    net_date: str = ""
    net_days: str = ""
    discount_amount: str = ""
    description: str = ""


class Charge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An allowance ("A"), charge ("C") or service without price ("N") (SAC);
    amount without sign.
    """

    kind: str
    code: str = ""
    amount: str = ""
    percent_basis: str = ""
    percent: str = ""
    rate: str = ""
    unit: str = ""
    quantity: str = ""
    method: str = ""
    description: str = ""


class Tax(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tax (TXI): kind e.g. "ST" state sales tax, "VA" value added tax, "TX"
    all taxes.
    """

    kind: str
    amount: str = ""
    percent: str = ""
    jurisdiction_qualifier: str = ""
    jurisdiction: str = ""
    exempt: str = ""
    basis: str = ""
    registration: str = ""


class Carrier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who carries the goods and how (TD5); `code` is a SCAC when
    `code_qualifier` is "2".
    """

    code_qualifier: str = ""
    code: str = ""
    method: str = ""
    routing: str = ""
    status: str = ""


class Packaging(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much was packed (TD1)."""

    code: str = ""
    count: str = ""
    weight_qualifier: str = ""
    weight: str = ""
    weight_unit: str = ""


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """A total with its meaning (AMT), e.g. qualifier "TT" total of the
    document.
    """

    qualifier: str
    value: str


class Details(msgspec.Struct, kw_only=True):
    """Everything collected from one stretch of segments (a heading, or one
    line).
    """

    currency: str = ""
    references: tuple[Reference, ...] = ()
    dates: tuple[Moment, ...] = ()
    parties: tuple[Party, ...] = ()
    contacts: tuple[Contact, ...] = ()
    terms: tuple[Terms, ...] = ()
    charges: tuple[Charge, ...] = ()
    taxes: tuple[Tax, ...] = ()
    carriers: tuple[Carrier, ...] = ()
    packaging: tuple[Packaging, ...] = ()
    amounts: tuple[Amount, ...] = ()
    notes: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The item descriptions (PID) as one line."""
        return "; ".join(self.descriptions)


def iso_date(text: str) -> str:
    """Return CCYYMMDD as YYYY-MM-DD; anything else unchanged."""
    if len(text) == 8 and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


def x12_date(text: str) -> str:
    """Return YYYY-MM-DD as CCYYMMDD; anything else unchanged."""
    return text.replace("-", "") if len(text) == 10 and text[4] == text[7] == "-" else text


def iso_time(text: str) -> str:
    """Return HHMM or HHMMSS with colons; anything else unchanged."""
    if len(text) in (4, 6) and text.isdigit():
        return ":".join(text[i : i + 2] for i in range(0, len(text), 2))
    return text


def x12_time(text: str) -> str:
    """Return HH:MM or HH:MM:SS without colons."""
    return text.replace(":", "")


def from_implied(text: str, places: int = 2) -> str:
    """Give an amount with implied decimals its point: "41192" is "411.92"; ""
    stays "".
    """
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not digits.isdigit():
        return text
    digits = digits.zfill(places + 1)
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def to_implied(text: str, places: int = 2) -> str:
    """Take the point out of a decimal: "411.92" is "41192"; X12ValueError if
    it has more places.
    """
    if not text:
        return ""
    sign, rest = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, fraction = rest.partition(".")
    fraction = fraction.rstrip("0") if len(fraction) > places else fraction
    if not (whole + fraction).isdigit() or len(fraction) > places:
        raise X12ValueError(f"{text!r} is not an amount with at most {places} decimals")
    digits = (whole + fraction.ljust(places, "0")).lstrip("0") or "0"
    return sign + digits if digits != "0" else "0"


def product_ids(values: Sequence[str]) -> tuple[ProductId, ...]:
    """Read pairs of qualifier and value from the end of a PO1, IT1, LIN or
    ACK.
    """
    pairs = zip(values[0::2], values[1::2], strict=False)
    return tuple(ProductId(qualifier=q, value=v) for q, v in pairs if q or v)


def id_elements(ids: Iterable[ProductId]) -> list[str]:
    """Write product ids as pairs."""
    return [text for one in ids for text in (one.qualifier, one.value)]


def product(ids: Iterable[ProductId], *qualifiers: str) -> str:
    """Return the value of the first qualifier that is there, else ""."""
    known = {one.qualifier: one.value for one in reversed(tuple(ids))}
    return next((known[q] for q in qualifiers if q in known), "")


def reference(references: Iterable[Reference], *qualifiers: str) -> str:
    """Return the value of the first reference with one of the qualifiers, else
    "".
    """
    return next((r.value for r in references if r.qualifier in qualifiers), "")


def party(parties: Iterable[Party], *roles: str) -> Party | None:
    """Return the first party in one of the roles, preferred roles first."""
    known = tuple(parties)
    return next((p for role in roles for p in known if p.role == role), None)


def collect(segments: Iterable[Segment]) -> Details:
    """Collect the details of a stretch of segments; unknown ones are passed
    over.
    """
    lists: dict[str, list[object]] = {}
    current: dict[str, object] | None = None
    currency = ""
    for one in segments:
        if one.tag == "N1":
            current = _party_fields(one)
            lists.setdefault("parties", []).append(current)
        elif current is not None and one.tag in _PARTY_SEGMENTS:
            _PARTY_SEGMENTS[one.tag](current, one)
        elif one.tag == "CUR":
            currency = currency or one.get(2)
        elif one.tag in _READERS:
            current = None
            name, read = _READERS[one.tag]
            lists.setdefault(name, []).append(read(one))
        elif one.tag == "N9":
            current = None
            if one.get(1) != _LETTER:
                lists.setdefault("references", []).append(_read_reference(one))
            if one.get(3):
                lists.setdefault("notes", []).append(one.get(3))
        else:
            current = None
    lists["parties"] = [msgspec.convert(p, Party) for p in lists.get("parties", [])]
    return Details(currency=currency, **{k: tuple(v) for k, v in lists.items()})  # type: ignore[arg-type]


def _party_fields(one: Segment) -> dict[str, object]:
    return {
        "role": one.get(1),
        "name": one.get(2),
        "id_qualifier": one.get(3),
        "id": one.get(4),
        "more_names": [],
        "address": [],
        "references": [],
        "contacts": [],
    }


def _more_names(fields: dict[str, object], one: Segment) -> None:
    fields["more_names"] += [e for e in one.elements if e]  # type: ignore[operator]


def _address(fields: dict[str, object], one: Segment) -> None:
    fields["address"] += [e for e in one.elements if e]  # type: ignore[operator]


def _place(fields: dict[str, object], one: Segment) -> None:
    names = ("city", "state", "postal_code", "country")
    fields.update({name: one.get(n) for n, name in enumerate(names, 1)})


def _party_reference(fields: dict[str, object], one: Segment) -> None:
    fields["references"] += [_read_reference(one)]  # type: ignore[operator]


def _party_contact(fields: dict[str, object], one: Segment) -> None:
    fields["contacts"] += [_read_contact(one)]  # type: ignore[operator]


def _read_reference(one: Segment) -> Reference:
    return Reference(qualifier=one.get(1), value=one.get(2), description=one.get(3))


def _read_moment(one: Segment) -> Moment:
    return Moment(
        qualifier=one.get(1), date=iso_date(one.get(2)), time=iso_time(one.get(3)), zone=one.get(4)
    )


def _read_contact(one: Segment) -> Contact:
    pairs = product_ids(one.elements[2:8])
    return Contact(
        function=one.get(1),
        name=one.get(2),
        numbers=tuple(ContactNumber(kind=p.qualifier, value=p.value) for p in pairs),
    )


def _read_terms(one: Segment) -> Terms:
    return Terms(
        kind=one.get(1),
        basis=one.get(2),
        discount_percent=one.get(3),
        discount_date=iso_date(one.get(4)),
        discount_days=one.get(5),
        net_date=iso_date(one.get(6)),
        net_days=one.get(7),
        discount_amount=from_implied(one.get(8)),
        description=one.get(12),
    )


def _read_charge(one: Segment) -> Charge:
    return Charge(
        kind=one.get(1),
        code=one.get(2),
        amount=from_implied(one.get(5)),
        percent_basis=one.get(6),
        percent=one.get(7),
        rate=one.get(8),
        unit=one.get(9),
        quantity=one.get(10),
        method=one.get(12),
        description=one.get(15),
    )


def _read_tax(one: Segment) -> Tax:
    return Tax(
        kind=one.get(1),
        amount=one.get(2),
        percent=one.get(3),
        jurisdiction_qualifier=one.get(4),
        jurisdiction=one.get(5),
        exempt=one.get(6),
        basis=one.get(8),
        registration=one.get(9),
    )


def _read_carrier(one: Segment) -> Carrier:
    return Carrier(
        code_qualifier=one.get(2),
        code=one.get(3),
        method=one.get(4),
        routing=one.get(5),
        status=one.get(6),
    )


def _read_packaging(one: Segment) -> Packaging:
    return Packaging(
        code=one.get(1),
        count=one.get(2),
        weight_qualifier=one.get(6),
        weight=one.get(7),
        weight_unit=one.get(8),
    )


_PARTY_SEGMENTS = {
    "N2": _more_names,
    "N3": _address,
    "N4": _place,
    "REF": _party_reference,
    "PER": _party_contact,
}
_READERS = {
    "REF": ("references", _read_reference),
    "DTM": ("dates", _read_moment),
    "PER": ("contacts", _read_contact),
    "ITD": ("terms", _read_terms),
    "SAC": ("charges", _read_charge),
    "TXI": ("taxes", _read_tax),
    "TD5": ("carriers", _read_carrier),
    "TD1": ("packaging", _read_packaging),
    "AMT": ("amounts", lambda one: Amount(qualifier=one.get(1), value=one.get(2))),
    "MSG": ("notes", lambda one: one.get(1)),
    "MTX": ("notes", lambda one: one.get(2)),
    "NTE": ("notes", lambda one: one.get(2)),
    "PID": ("descriptions", lambda one: one.get(5) or one.get(4)),
    "MAN": ("marks", lambda one: one.get(2)),
}


def currency_rows(currency: str, entity: str) -> list[Row]:
    """Write CUR, if there is a currency."""
    return [segment("CUR", entity, currency)] if currency else []


def reference_rows(references: Iterable[Reference]) -> list[Row]:
    """Write REF."""
    return [segment("REF", r.qualifier, r.value, r.description) for r in references]


def moment_rows(dates: Iterable[Moment]) -> list[Row]:
    """Write DTM."""
    return [segment("DTM", d.qualifier, x12_date(d.date), x12_time(d.time), d.zone) for d in dates]


def contact_rows(contacts: Iterable[Contact]) -> list[Row]:
    """Write PER; at most three numbers each, as X12 has room for."""
    rows = []
    for one in contacts:
        if len(one.numbers) > 3:
            raise X12ValueError(f"contact {one.name!r} has more than three numbers")
        pairs = [text for number in one.numbers for text in (number.kind, number.value)]
        rows.append(segment("PER", one.function, one.name, *pairs))
    return rows


def party_rows(parties: Iterable[Party]) -> list[Row]:
    """Write N1 loops."""
    rows: list[Row] = []
    for one in parties:
        rows.append(segment("N1", one.role, one.name, one.id_qualifier, one.id))
        rows += _pair_rows("N2", one.more_names) + _pair_rows("N3", one.address)
        if one.city or one.state or one.postal_code or one.country:
            rows.append(segment("N4", one.city, one.state, one.postal_code, one.country))
        rows += reference_rows(one.references)
        rows += contact_rows(one.contacts)
    return rows


def _pair_rows(tag: str, texts: Sequence[str]) -> list[Row]:
    return [segment(tag, *texts[i : i + 2]) for i in range(0, len(texts), 2)]


def terms_rows(terms: Iterable[Terms]) -> list[Row]:
    """Write ITD."""
    return [
        segment(
            "ITD", t.kind, t.basis, t.discount_percent, x12_date(t.discount_date),
            t.discount_days, x12_date(t.net_date), t.net_days, to_implied(t.discount_amount),
            "", "", "", t.description,
        )
        for t in terms
    ]  # fmt: skip


def charge_rows(charges: Iterable[Charge]) -> list[Row]:
    """Write SAC."""
    return [
        segment(
            "SAC", c.kind, c.code, "", "", to_implied(c.amount), c.percent_basis, c.percent,
            c.rate, c.unit, c.quantity, "", c.method, "", "", c.description,
        )
        for c in charges
    ]  # fmt: skip


def tax_rows(taxes: Iterable[Tax]) -> list[Row]:
    """Write TXI."""
    return [
        segment(
            "TXI", t.kind, t.amount, t.percent, t.jurisdiction_qualifier, t.jurisdiction,
            t.exempt, "", t.basis, t.registration,
        )
        for t in taxes
    ]  # fmt: skip


def carrier_rows(carriers: Iterable[Carrier]) -> list[Row]:
    """Write TD5."""
    return [
        segment("TD5", "", c.code_qualifier, c.code, c.method, c.routing, c.status)
        for c in carriers
    ]


def packaging_rows(packaging: Iterable[Packaging]) -> list[Row]:
    """Write TD1."""
    return [
        segment("TD1", p.code, p.count, "", "", "", p.weight_qualifier, p.weight, p.weight_unit)
        for p in packaging
    ]


def note_rows(notes: Iterable[str], version: str) -> list[Row]:
    """Write texts as one N9 loop with an MSG each, from 005010 on an MTX."""
    modern = version >= "005010"
    rows = [segment("MTX", "", note) if modern else segment("MSG", note) for note in notes]
    return [segment("N9", _LETTER, "NOTE"), *rows] if rows else []


def description_rows(descriptions: Iterable[str]) -> list[Row]:
    """Write free-form PID."""
    return [segment("PID", "F", "", "", "", text) for text in descriptions]


def amount_rows(amounts: Iterable[Amount]) -> list[Row]:
    """Write AMT."""
    return [segment("AMT", a.qualifier, a.value) for a in amounts]
