"""The laws of the X12 engine: round trips, valid answers, harmless garbage."""

from __future__ import annotations

import io
import string

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentsquad.integrations.formats import x12
from agentsquad.integrations.formats.contract import X12ReadError, X12ValueError
from agentsquad.integrations.formats.x12 import documents as d
from agentsquad.integrations.formats.x12.content import inspect
from agentsquad.integrations.formats.x12.definition import release
from agentsquad.integrations.formats.x12.interchange import split_segment
from agentsquad.integrations.formats.x12.pattern import patterns

AT = "2026-11-23T12:00"
SEPARATORS = list("*|>:^!;<~+?\x1c\x1d\x1e\x1f")
TEXT = st.text(string.ascii_letters + string.digits + " .,-/&'()", min_size=1, max_size=30)
WORDS = TEXT.map(str.strip).filter(bool)
TAGS = st.text(string.ascii_uppercase, min_size=2, max_size=3).filter(
    lambda tag: tag not in ("ST", "SE", "GS", "GE", "ISA", "IEA", "TA1")
)


@st.composite
def delimiters(draw: st.DrawFn) -> x12.Delimiters:
    element, component, repetition, segment = draw(st.permutations(SEPARATORS))[:4]
    return x12.Delimiters(
        element=element,
        component=component,
        repetition=repetition if draw(st.booleans()) else "",
        segment=segment,
        suffix=draw(st.sampled_from(["", "\n", "\r\n"])),
    )


@st.composite
def interchanges(draw: st.DrawFn) -> x12.Interchange:
    """Any envelope around any segments; the inside need not be a known set."""
    marks = draw(delimiters())
    version = draw(st.sampled_from(["004010", "005010"]))
    taken = {marks.element, marks.segment}
    value = st.text(string.ascii_letters + string.digits + " .:>^é", max_size=12).filter(
        lambda text: not taken & set(text)
    )
    rows = st.lists(
        st.tuples(TAGS, st.lists(value, max_size=6)).map(lambda row: (row[0], *row[1])), max_size=8
    )
    drafts = draw(
        st.lists(
            st.builds(
                lambda set_id, body: x12.Draft(set_id=set_id, segments=tuple(body)),
                st.sampled_from(["850", "810", "856", "820", "855"]),
                rows,
            ),
            max_size=4,
        )
    )
    envelope = x12.Envelope(
        sender=x12.Endpoint(id="ACME"),
        receiver=x12.Endpoint(id="BOLT", qualifier="01"),
        control=draw(st.integers(1, 999_999_999)),
        at=AT,
        version=version,
        delimiters=marks,
    )
    try:
        return x12.compose(envelope, drafts)
    except X12ValueError:
        return x12.compose(msgspec.structs.replace(envelope, delimiters=x12.Delimiters()), [])


@given(st.lists(interchanges(), min_size=1, max_size=3))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_conforming_bytes_are_written_as_they_were_read(many: list[x12.Interchange]) -> None:
    data = b"".join(x12.write(one) for one in many)

    document = x12.parse(data)

    assert len(document.interchanges) == len(many)
    assert not document.findings
    assert x12.write(document) == data


@given(interchanges())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_json_loses_nothing(interchange: x12.Interchange) -> None:
    data = x12.write(interchange)
    form = msgspec.json.decode(msgspec.json.encode(x12.to_json(x12.parse(data))))

    assert x12.write(x12.from_json(form)) == data


@given(interchanges(), st.integers(1, 200))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_streaming_finds_what_parsing_finds_whatever_the_block_size(
    interchange: x12.Interchange, block_bytes: int
) -> None:
    data = x12.write(interchange)

    whole = [t.segments for t in x12.parse(data).transactions]
    blocks = [t.segments for t in x12.iter_transactions(io.BytesIO(data), block_bytes=block_bytes)]

    assert blocks == whole


def sample() -> bytes:
    order = d.PurchaseOrder(
        number="PO1",
        date="2026-11-23",
        lines=(d.OrderLine(number="1", quantity="5", unit="EA", price="1.50"),),
    )
    envelope = x12.Envelope(
        sender=x12.Endpoint(id="ACME"), receiver=x12.Endpoint(id="BOLT"), control=7, at=AT
    )
    return x12.compose_bytes(envelope, [d.write_850(order), d.write_850(order)])


SAMPLE = sample()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good file with bytes changed, removed, doubled or cut off."""
    data = bytearray(SAMPLE)
    for _ in range(draw(st.integers(1, 12))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["set", "drop", "insert", "cut", "double"]))
        size = draw(st.integers(1, 30))
        if kind == "set" and data:
            data[place] = draw(st.integers(0, 255))
        elif kind == "drop":
            del data[place : place + size]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=10))
        elif kind == "cut":
            del data[place:]
        else:
            data[place:place] = data[place : place + size]
    return bytes(data)


def swallow(data: bytes) -> None:
    """Do everything there is with a file; it may only refuse to answer."""
    document = x12.parse(data)
    report = x12.check(data)
    assert report.valid is (bool(document.interchanges) and not report.errors)
    x12.show(document)
    msgspec.json.encode([f.public() for f in report.findings])
    again = x12.from_json(msgspec.json.decode(msgspec.json.encode(x12.to_json(document))))
    if all(i.delimiters.problem() is None for i in document.interchanges):
        assert x12.write(again) == x12.write(document)
    try:
        answer = x12.acknowledge(report, control=1, at=AT)
    except X12ReadError:
        assert not document.interchanges
        return
    if answer:
        judged = x12.check(answer)
        assert judged.valid, [f.message for f in judged.errors]


@given(mutated())
@example(SAMPLE.replace(b"~", b"\n"))
@example(SAMPLE.replace(b"*00401*", b"*00\xb201*"))
@example(SAMPLE.replace(b"*00401*", b"*" + b"9" * 5000 + b"*"))
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_damaged_file_is_reported_and_answered_with_a_valid_acknowledgement(data: bytes) -> None:
    swallow(data)


@given(st.binary(max_size=400))
@example(b"ISA")
@example(b"ISA*" * 100)
@example(b"\xef\xbb\xbf ISA*00*~")
@settings(max_examples=80, deadline=None)
def test_random_bytes_never_crash(data: bytes) -> None:
    swallow(data)
    swallow(b"ISA*" + data)
    swallow(SAMPLE[:106] + data)


@given(mutated())
@example(SAMPLE)
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_the_quick_judgement_finds_what_the_thorough_one_finds(data: bytes) -> None:
    thorough = x12.parse(data)
    for transaction in thorough.transactions:
        assert transaction.segments  # once they are made, none is judged by its pattern

    assert x12.check(data).findings == x12.check(thorough).findings


VALUES = st.one_of(
    st.just(""),
    st.sampled_from(
        ["00", "SA", "BY", "VN", "EA", "A", "F", "1", "20261123", "20260229", "261123", "1200"]
    ),
    st.sampled_from(
        ["12001", "2560", "-5", "1.5", ".5", "5.", "-.", "0.0.1", "99999999999", "\x01"]
    ),
    st.text(string.ascii_uppercase + string.digits + ".- é²>", max_size=12),
)


@given(
    st.sampled_from(["004010", "005010"]),
    st.sampled_from(["*", "|", "^", "]", "\\"]),
    st.sampled_from([">", ":", ""]),
    st.sampled_from(["", "^"]),
    st.data(),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_segment_that_its_pattern_takes_has_no_fault(
    version: str, element: str, component: str, repetition: str, data: st.DataObject
) -> None:
    marks = x12.Delimiters(element=element, component=component, repetition=repetition)
    definitions = release(version)
    found = patterns(definitions, marks)
    assert found is not None
    for tag in data.draw(st.lists(st.sampled_from(sorted(definitions.segments)), max_size=12)):
        pattern, uses = found[tag], len(definitions.segments[tag].uses)
        values = data.draw(st.lists(VALUES, max_size=min(uses + 1, 9)))
        text = element.join([tag, *values])
        if pattern is not None and pattern.fullmatch(text):
            segment = split_segment(text, element)
            assert not list(inspect(segment, definitions.segments[tag], marks)), text


DECIMALS = st.decimals(0, 999999, places=2).map(str)
IDS = st.lists(
    st.builds(d.ProductId, qualifier=st.sampled_from(["VN", "BP", "UP"]), value=WORDS), max_size=3
).map(tuple)
REFERENCES = st.lists(
    st.builds(d.Reference, qualifier=st.sampled_from(["IA", "PO", "DP"]), value=WORDS), max_size=2
).map(tuple)
PARTIES = st.lists(
    st.builds(
        d.Party,
        role=st.sampled_from(["BY", "SU", "ST"]),
        name=WORDS,
        address=st.lists(WORDS, max_size=3).map(tuple),
        city=WORDS.filter(lambda w: len(w) > 1),
        references=REFERENCES,
    ),
    max_size=2,
).map(tuple)
NOTES = st.lists(WORDS, max_size=2).map(tuple)
INVOICES = st.builds(
    d.Invoice,
    number=WORDS.map(lambda w: w[:22].strip()),
    date=st.dates().map(str).filter(lambda t: t >= "1000"),
    order_number=WORDS.map(lambda w: w[:22].strip()),
    currency=st.sampled_from(["", "USD", "EUR"]),
    parties=PARTIES,
    references=REFERENCES,
    notes=NOTES,
    lines=st.lists(
        st.builds(
            d.InvoiceLine,
            number=st.integers(1, 99).map(str),
            quantity=st.integers(1, 9999).map(str),
            unit=st.just("EA"),
            price=DECIMALS,
            ids=IDS,
            description=st.one_of(st.just(""), WORDS),
            charges=st.lists(
                st.builds(
                    d.Charge, kind=st.sampled_from("AC"), code=st.just("D240"), amount=DECIMALS
                ),
                max_size=2,
            ).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
    total=DECIMALS,
    taxes=st.lists(st.builds(d.Tax, kind=st.just("ST"), amount=DECIMALS), max_size=2).map(tuple),
)


@given(INVOICES, st.sampled_from(["004010", "005010"]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_invoice_survives_being_written_and_read(invoice: d.Invoice, version: str) -> None:
    envelope = x12.Envelope(
        sender=x12.Endpoint(id="A"),
        receiver=x12.Endpoint(id="B"),
        control=1,
        at=AT,
        version=version,
    )
    data = x12.compose_bytes(envelope, [d.write_810(invoice)])

    read = d.read_810(next(x12.parse(data).transactions))

    stated = msgspec.structs.replace(invoice, line_count=str(len(invoice.lines)))
    assert read == stated
    assert d.write_810(read) == d.write_810(invoice)
