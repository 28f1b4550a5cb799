"""Canonical JSON: the one byte form of a value, exactly as RFC 8785 says.

Digests and signatures are made over these bytes, so two values are the same
when their canonical bytes are. Nothing is converted silently: what JSON cannot
say without loss is refused. Encoding takes a fast path when its output can be
proven equal to the canonical form, else the exact one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, NoReturn

import msgspec

from agentsquad.kernel.errors import InvalidError

EXACT_INT_MAX = 2**53


def dumps(value: Any) -> bytes:
    """Return the canonical JSON of a value as UTF-8.

    Accepts JSON values, tuples, enums, msgspec structs and dataclasses; dates,
    UUIDs and Decimals become the strings msgspec writes. Raises InvalidError
    `canonical.number`, `.text`, `.key`, `.type` or `.depth`, with the JSON
    Pointer of the culprit in `details["at"]`.
    """
    return dumps_and_read(value)[0]


def dumps_and_read(value: Any) -> tuple[bytes, Any]:
    """Return the same bytes as `dumps`, and the plain value they say.

    For those who need both: it was read back anyway to see that it is the same.
    """
    try:
        data = _encode(value)
        if type(value) is dict or type(value) is list:
            read = _decode_plain(data)
            if (
                read == value
                and _LONG_INT not in data.translate(_DIGITS_ALIKE)
                and (data.isascii() or not _ASTRAL.search(data))
            ):
                return data, read
    except (TypeError, ValueError, RecursionError, _NotPlainError, msgspec.MsgspecError):
        pass
    data = dumps_exactly(value)
    return data, _decode(data)


def dumps_exactly(value: Any) -> bytes:
    """Return the same bytes as `dumps` by the plain, slow way."""
    parts: list[str] = []
    try:
        _write(value, parts.append)
        return "".join(parts).encode("utf-8")
    except _RejectedError as reason:
        at = "".join(f"/{step}" for step in reversed(reason.path))
        raise InvalidError(
            f"no canonical JSON for the value at {at or 'the top'}: {reason.text}",
            code=reason.code,
            hint=reason.hint,
            details={"at": at},
        ) from None
    except RecursionError:
        raise _too_deep() from None


def loads(data: bytes | str) -> Any:
    """Read JSON strictly (RFC 8259 and I-JSON) and return plain values.

    Refuses duplicate keys (`canonical.duplicate`), NaN, Infinity and numbers
    beyond a double (`canonical.number`), lone surrogates (`canonical.text`) and
    anything that is not JSON (`canonical.syntax`). Integers of any size stay
    exact.
    """
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else bytes(data)
        value = _decode(raw)
        if _reencode(value) == raw:
            return value
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        pass
    return loads_exactly(data)


def loads_exactly(data: bytes | str) -> Any:
    """Return the same value as `loads` by the plain, slow way."""
    try:
        text = data if isinstance(data, str) else bytes(data).decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
        )
        if not text.isascii() or _SURROGATE_ESCAPE.search(text):
            _check_texts(value)
        return value
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"not UTF-8 at byte {error.start}",
            code="canonical.text",
            hint="JSON is exchanged as UTF-8",
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidError(
            f"not JSON at line {error.lineno} column {error.colno}: {error.msg}",
            code="canonical.syntax",
            hint="give one JSON value",
            details={"line": error.lineno, "column": error.colno},
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # more digits than the interpreter converts
        raise InvalidError(
            f"number too long: {error}", code="canonical.number", hint="send it as a string"
        ) from None


def is_exact(value: int) -> bool:
    """Return whether an integer's canonical text reads back as that integer.

    Up to 2^53 all do. Beyond, a double's shortest text may name a neighbour
    (2^60 becomes 1152921504606847000), so being a double is not enough.
    """
    if -EXACT_INT_MAX <= value <= EXACT_INT_MAX:
        return True
    try:
        text = number(float(value))
    except OverflowError:
        return False
    return (float(text) if "e" in text else int(text)) == value


def number(value: float) -> str:
    """Return a finite double as ECMAScript's Number::toString writes it."""
    if value != value or value in (float("inf"), float("-inf")):
        raise InvalidError(
            f"{value} is not a JSON number", code="canonical.number", hint="send null or a string"
        )
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole) + len(fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = "." + digits[1:] if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


# The fast encoder differs from RFC 8785 in these ways only: some floats are
# spelled differently (1.0, 1e21), NaN is written as null, large integers are
# not checked, keys are ordered by code point, and bytes, sets and the like are
# converted. Reading back finds the first (the float hook) and, because the
# value read differs from the one written, the second and the last; a look at
# the bytes finds the others. What fails a check takes the exact path, so a
# check may be too strict.

_encode = msgspec.json.Encoder(order="deterministic").encode
_reencode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_LONG_INT = b"0" * 16
_ASTRAL = re.compile(rb"[\xf0-\xf4]")


class _NotPlainError(Exception):
    """A float was met that may be spelled differently."""


def _plain_float(text: str) -> float:
    if "e" in text or text.endswith(".0"):
        raise _NotPlainError
    return float(text)


_decode_plain = msgspec.json.Decoder(float_hook=_plain_float).decode


class _RejectedError(Exception):
    """Why there is no canonical form; `path` grows as recursion unwinds."""

    def __init__(self, text: str, code: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.text, self.code, self.hint = text, code, hint
        self.path: list[str] = []


_ESCAPES = {
    **{chr(code): f"\\u{code:04x}" for code in range(0x20)},
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abcdefABCDEF]")
_BYTES = (bytes, bytearray, memoryview)


def _text(value: str) -> str:
    if _SURROGATE.search(value):
        raise _RejectedError(
            "the text holds a lone surrogate", "canonical.text", "it is not valid Unicode"
        )
    return '"' + _ESCAPED.sub(lambda found: _ESCAPES[found[0]], value) + '"'


def _integer(value: int) -> str:
    if -EXACT_INT_MAX <= value <= EXACT_INT_MAX:
        return int.__repr__(value)
    if not is_exact(value):
        raise _RejectedError(
            f"{int.__repr__(value) if abs(value) < 10**40 else 'the integer'} would not be read"
            " back as the same number",
            "canonical.number",
            "send integers beyond 2^53 as strings",
        )
    return number(float(value))


def _write(value: Any, put: Any) -> None:
    if value is None:
        put("null")
    elif value is True:
        put("true")
    elif value is False:
        put("false")
    elif isinstance(value, Enum):
        _write(value.value, put)
    elif isinstance(value, str):
        put(_text(value))
    elif isinstance(value, int):
        put(_integer(value))
    elif isinstance(value, float):
        try:
            put(number(value))
        except InvalidError as error:
            raise _RejectedError(error.message, error.code, error.hint) from None
    elif isinstance(value, Mapping):
        _write_object(value, put)
    elif isinstance(value, (list, tuple)):
        _write_array(value, put)
    else:
        _write(_plain(value), put)


def _write_object(value: Mapping[Any, Any], put: Any) -> None:
    for key in value:
        if not isinstance(key, str):
            raise _RejectedError(f"the key {key!r} is not a string", "canonical.key")
    separator = "{"
    for key in sorted(value, key=_utf16):
        try:
            put(separator)
            put(_text(key.value if isinstance(key, Enum) else key))
            put(":")
            _write(value[key], put)
        except _RejectedError as reason:
            reason.path.append(key.replace("~", "~0").replace("/", "~1"))
            raise
        separator = ","
    put("{}" if separator == "{" else "}")


def _write_array(value: list[Any] | tuple[Any, ...], put: Any) -> None:
    put("[")
    for index, item in enumerate(value):
        if index:
            put(",")
        try:
            _write(item, put)
        except _RejectedError as reason:
            reason.path.append(str(index))
            raise
    put("]")


def _utf16(key: str) -> bytes:
    return (key.value if isinstance(key, Enum) else key).encode("utf-16-be", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, _BYTES):
        raise _RejectedError(
            "bytes are not JSON", "canonical.type", "store them as a blob or encode them as text"
        )
    try:
        plain = msgspec.to_builtins(value, builtin_types=_BYTES, order="deterministic")
    except (TypeError, ValueError) as error:
        raise _RejectedError(str(error), "canonical.type") from None
    if type(plain) is type(value):
        raise _RejectedError(f"{type(value).__name__} is not JSON", "canonical.type")
    return plain


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    raise InvalidError(
        f"the key {key!r} is written twice in one object",
        code="canonical.duplicate",
        hint="keep one of them",
        details={"key": key},
    )


def _constant(text: str) -> NoReturn:
    raise InvalidError(
        f"{text} is not a JSON number", code="canonical.number", hint="send null or a string"
    )


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        _constant(text if len(text) < 40 else "this number")
    return value


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise InvalidError(
                "a text holds a lone surrogate",
                code="canonical.text",
                hint="it is not valid Unicode",
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _too_deep() -> InvalidError:
    return InvalidError(
        "the value is nested too deeply", code="canonical.depth", hint="flatten it or use a blob"
    )
