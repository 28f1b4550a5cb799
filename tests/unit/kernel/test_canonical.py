"""RFC 8785: its published vectors, and what must be refused."""

from __future__ import annotations

import struct
from decimal import Decimal
from enum import Enum

import msgspec
import pytest

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError

# RFC 8785, appendix B
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_appendix_b_lists_them(bits: str, text: str) -> None:
    value = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert canonical.dumps([value]) == f"[{text}]".encode()
    assert canonical.dumps_exactly([value]) == f"[{text}]".encode()


def test_the_example_of_section_3_2_2_gives_its_published_form() -> None:
    source = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical.dumps(canonical.loads(source)) == expected.encode()


def test_keys_are_ordered_by_utf_16_units_as_in_section_3_2_3() -> None:
    source = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(canonical.loads(canonical.dumps(source)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_the_weird_sample_of_the_jcs_test_data_gives_its_published_bytes() -> None:
    source = (
        '{"\\u20ac": "Euro Sign", "\\r": "Carriage Return", "\\u000a": "Newline", "1": "One",'
        ' "\\u0080": "Control\\u007f", "\\ud83d\\ude02": "Smiley",'
        ' "\\u00f6": "Latin Small Letter O With Diaeresis",'
        ' "\\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge"}'
    )
    expected = (
        '{"\\n":"Newline","\\r":"Carriage Return","1":"One","</script>":"Browser Challenge",'
        '"\u0080":"Control\u007f","\u00f6":"Latin Small Letter O With Diaeresis",'
        '"\u20ac":"Euro Sign","\U0001f602":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}'
    )
    assert canonical.dumps(canonical.loads(source)) == expected.encode()


def test_control_characters_use_the_short_escapes_then_lower_case_hex() -> None:
    assert canonical.dumps(["\b\t\n\f\r\x00\x1f\x7f/\u2028"]) == (
        '["\\b\\t\\n\\f\\r\\u0000\\u001f\x7f/\u2028"]'.encode()
    )


class Colour(str, Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: int
    y: tuple[float, ...]
    colour: Colour = Colour.RED
    price: Decimal = Decimal("1.50")


def test_structs_tuples_and_enums_are_written_as_their_json() -> None:
    assert canonical.dumps({"p": Point(1, (2.0, 0.5))}) == (
        b'{"p":{"colour":"red","price":"1.50","x":1,"y":[2,0.5]}}'
    )
    assert canonical.dumps(Point(1, ())) == b'{"colour":"red","price":"1.50","x":1,"y":[]}'


def test_large_integers_are_written_only_when_they_read_back_the_same() -> None:
    assert canonical.dumps([2**53, -(2**53), 2**53 + 2, 10**21, 2**70]) == (
        b"[9007199254740992,-9007199254740992,9007199254740994,1e+21,1.1805916207174113e+21]"
    )


def test_a_large_double_is_a_fixed_point_even_where_its_text_names_a_neighbour() -> None:
    data = canonical.dumps([float(2**60)])
    assert data == b"[1152921504606847000]"
    assert canonical.dumps(canonical.loads(data)) == data


REFUSED = [
    (float("nan"), "canonical.number", ""),
    ([None, float("inf")], "canonical.number", "/1"),
    ({"a": [-float("inf")]}, "canonical.number", "/a/0"),
    ({"n": 2**53 + 1}, "canonical.number", "/n"),
    ({"n": 2**60}, "canonical.number", "/n"),
    ({"n": 10**400}, "canonical.number", "/n"),
    ({"t": "\ud800"}, "canonical.text", "/t"),
    ({"\udfff": 1}, "canonical.text", "/\udfff"),
    ({1: 2}, "canonical.key", ""),
    ({"a/b": {None: 1}}, "canonical.key", "/a~1b"),
    ({"data": b"x"}, "canonical.type", "/data"),
    ([bytearray(b"x")], "canonical.type", "/0"),
    ([Ellipsis], "canonical.type", "/0"),
]


@pytest.mark.parametrize(("value", "code", "at"), REFUSED, ids=lambda v: ascii(v)[:40])
def test_what_json_cannot_say_is_refused_with_its_place(value: object, code: str, at: str) -> None:
    with pytest.raises(InvalidError) as caught:
        canonical.dumps(value)
    assert (caught.value.code, caught.value.details["at"]) == (code, at)


def test_a_cycle_is_refused_and_does_not_crash() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(InvalidError, match="nested too deeply"):
        canonical.dumps(ring)


UNREADABLE = [
    ('{"a": 1, "b": {"c": 1, "c": 2}}', "canonical.duplicate"),
    ('{"a":1,"\\u0061":2}', "canonical.duplicate"),
    ("[NaN]", "canonical.number"),
    ("-Infinity", "canonical.number"),
    ("1e400", "canonical.number"),
    ('"\\ud800"', "canonical.text"),
    ('{"\\uDC00": 1}', "canonical.text"),
    ('"\ud800"', "canonical.text"),
    (b'"\xff"', "canonical.text"),
    (b'"\xed\xa0\x80"', "canonical.text"),
    ("{", "canonical.syntax"),
    ("[1] 2", "canonical.syntax"),
    ("", "canonical.syntax"),
    ("\ufeff1", "canonical.syntax"),
    ("01", "canonical.syntax"),
    ('"\n"', "canonical.syntax"),
    ("[" * 100_000, "canonical.depth"),
    ("1" * 5_000, "canonical.number"),
]


@pytest.mark.parametrize(("text", "code"), UNREADABLE, ids=lambda v: ascii(v)[:40])
def test_what_is_not_strict_json_is_not_read(text: str | bytes, code: str) -> None:
    with pytest.raises(InvalidError) as caught:
        canonical.loads(text)
    assert caught.value.code == code


def test_integers_of_any_size_are_read_exactly() -> None:
    assert canonical.loads("[9007199254740993, 1180591620717411303425, -0]") == [
        9007199254740993,
        1180591620717411303425,
        0,
    ]


def test_surrogate_pairs_written_as_escapes_are_one_character() -> None:
    assert canonical.loads('"\\ud83d\\ude00"') == "\U0001f600"
