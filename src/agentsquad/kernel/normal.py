"""Normal forms of input: one spelling for texts, numbers and times.

Applied where data enters, so that equal inputs have equal digests on every
machine. Nothing depends on a locale and nothing is guessed: what can be read in
two ways is refused until its style or zone is declared. Each result is its own
normal form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final, Literal

from agentsquad.kernel.canonical import number
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.pointer import join

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
Style = Literal["plain", "1,234.5", "1.234,5", "1 234,5", "1'234.5", "1,23,456.7"]
Fold = Literal["earlier", "later"]

FORMS: Final[tuple[Form, ...]] = ("NFC", "NFD", "NFKC", "NFKD")
DIGITS_MAX: Final = 1_000

_SPACES = " \u00a0\u2009\u202f"
_GROUPS: dict[str, tuple[str, str, str]] = {  # style: separators, decimal mark, group pattern
    "1,234.5": (",", ".", r"[0-9]{1,3}(?:,[0-9]{3})+"),
    "1.234,5": (".", ",", r"[0-9]{1,3}(?:\.[0-9]{3})+"),
    "1 234,5": (_SPACES, ",", rf"[0-9]{{1,3}}(?:[{_SPACES}][0-9]{{3}})+"),
    "1'234.5": ("'\u2019", ".", r"[0-9]{1,3}(?:['\u2019][0-9]{3})+"),
    "1,23,456.7": (",", ".", r"[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}"),
}
_PLAIN = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)


def text(value: str, form: Form = "NFC") -> str:
    """Return a text in one of the four Unicode normal forms.

    NFC and NFD keep the meaning exactly; NFKC and NFKD also fold look-alikes
    (ligatures, full-width digits) and suit comparing, not storing. Lone
    surrogates are refused (`normal.text`).
    """
    if form not in FORMS:
        raise InvalidError(
            f"{form!r} is not a Unicode normal form",
            code="normal.form",
            hint=f"one of {', '.join(FORMS)}",
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidError(
            f"the text holds a lone surrogate at character {error.start}",
            code="normal.text",
            hint="it is not valid Unicode: decode the input with its real encoding",
        ) from None
    return unicodedata.normalize(form, value)


def spaces(value: str) -> str:
    """Return a text with one space for each run of white space inside."""
    return " ".join(value.split())


def lines(value: str) -> str:
    """Return a text with line feeds as line ends and no blanks before them."""
    unified = value.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.rstrip(" \t") for line in unified.split("\n"))


def decimal(value: str | int | Decimal | float, style: Style = "plain") -> str:
    """Return the plain decimal of a number, exactly: no exponent, no padding.

    A string must be written in the declared style: "plain" is an optional sign,
    digits and a point; the other styles are named by an example and allow, but
    do not demand, their grouping. "-0.50" gives "-0.5", "1,234.50" in style
    "1,234.5" gives "1234.5". A float stands for its shortest decimal. The
    result is plain, so it is a fixed point of this function's default.
    """
    if isinstance(value, str):
        sign, whole, fraction = _parts(value, style)
    elif isinstance(value, bool) or not isinstance(value, (int, Decimal, float)):
        raise _not_decimal(value, "give a string, an integer or a Decimal")
    else:
        exact = Decimal(number(value)) if isinstance(value, float) else Decimal(value)
        if not exact.is_finite():
            raise _not_decimal(value, "give a finite number")
        if abs(exact.adjusted()) > DIGITS_MAX or len(exact.as_tuple().digits) > DIGITS_MAX:
            raise _not_decimal("a number", f"at most {DIGITS_MAX} digits are read")
        sign, whole, fraction = _parts(f"{exact:f}", "plain")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    plain = f"{whole}.{fraction}" if fraction else whole
    return plain if sign != "-" or plain == "0" else f"-{plain}"


def instant(value: str | datetime, zone: str | None = None, fold: Fold | None = None) -> str:
    """Return a time as RFC 3339 in UTC, e.g. "2026-11-23T12:00:00.5Z".

    Digits of a second are kept as they are, without trailing zeros. A time
    with an offset needs no zone. One without needs `zone`, an IANA name; when
    its clocks were set back, `fold` says which of the two hours is meant, and a
    time that its clocks skipped is refused.
    """
    if isinstance(value, datetime):
        value = value.isoformat()
    found = _TIME.fullmatch(value.strip()) if len(value) <= 100 else None
    if found is None:
        raise _not_time(value[:40], "write e.g. 2026-11-23T12:00:00Z or 2026-11-23T13:00:00+01:00")
    day, minute, second, fraction, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}:{second or '00'}")
        if offset is None:
            moment = _from_zone(moment, zone, fold)
        elif offset not in "Zz":
            moment -= _offset(offset)
    except (ValueError, OverflowError) as error:
        raise _not_time(value, str(error)) from None
    fraction = (fraction or "").rstrip("0")
    return f"{moment.isoformat()}{'.' + fraction if fraction else ''}Z"


def value(doc: Any, form: Form = "NFC") -> Any:
    """Return a JSON value with every text and key in one Unicode normal form.

    Two keys that become the same are refused (`normal.key`).
    """
    return _value(doc, form, ())


def _value(doc: Any, form: Form, at: tuple[str | int, ...]) -> Any:
    if isinstance(doc, str):
        return text(doc, form)
    if isinstance(doc, Mapping):
        result: dict[str, Any] = {}
        for key, item in doc.items():
            normal_key = text(key, form)
            if normal_key in result:
                raise InvalidError(
                    f"two keys of {join(*at) or 'the object'} are both {normal_key!r} in {form}",
                    code="normal.key",
                    hint="keep one of them",
                    details={"at": join(*at), "key": normal_key},
                )
            result[normal_key] = _value(item, form, (*at, key))
        return result
    if isinstance(doc, (list, tuple)):
        return [_value(item, form, (*at, index)) for index, item in enumerate(doc)]
    return doc


def _parts(given: str, style: Style) -> tuple[str, str, str]:
    """Return (sign, whole digits, fraction digits) of a number in a style."""
    if len(given) > 2 * DIGITS_MAX:
        raise _not_decimal(given[:40] + "…", f"at most {DIGITS_MAX} digits are read")
    plain = given
    if style != "plain":
        if style not in _GROUPS:
            raise InvalidError(
                f"{style!r} is not a style of numbers",
                code="normal.style",
                hint=f"one of plain, {', '.join(_GROUPS)}",
            )
        separators, mark, groups = _GROUPS[style]
        written = rf"[+-]?(?:[0-9]+|{groups})(?:{re.escape(mark)}[0-9]+)?"
        if not re.fullmatch(written, given):
            raise _not_decimal(given, f"write it like {style}")
        plain = given.translate({ord(mark): ".", **{ord(sep): None for sep in separators}})
    found = _PLAIN.fullmatch(plain)
    if found is None:
        raise _not_decimal(given, "write digits with a point and no grouping, or declare the style")
    return found[1], found[2], found[3] or ""


def _from_zone(local: datetime, zone: str | None, fold: Fold | None) -> datetime:
    if zone is None:
        raise ValueError("it has no offset: add Z or an offset, or declare the zone")
    moments = {}
    for index, name in enumerate(("earlier", "later")):
        aware = local.replace(tzinfo=time_zone(zone), fold=index)
        back = aware.astimezone(UTC)
        if back.astimezone(time_zone(zone)).replace(tzinfo=None, fold=0) == local:
            moments[name] = back.replace(tzinfo=None)
    if not moments:
        raise ValueError(f"clocks in {zone} skipped it")
    if len(set(moments.values())) == 2 and fold is None:
        raise ValueError(f"it happened twice in {zone}: declare fold 'earlier' or 'later'")
    return moments[fold or "earlier"]


def time_zone(name: str) -> tzinfo:
    """Return an IANA time zone, else InvalidError `normal.zone`."""
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        from agentsquad.kernel.spelling import closest

        meant = closest(name, sorted(zoneinfo.available_timezones()))
        raise InvalidError(
            f"{name!r} is not a time zone",
            code="normal.zone",
            hint=f"did you mean {meant!r}?" if meant else "e.g. Europe/Berlin",
        ) from None


def _offset(written: str) -> timedelta:
    hours, minutes = int(written[1:3]), int(written[4:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"{written} is not an offset")
    size = timedelta(hours=hours, minutes=minutes)
    return -size if written[0] == "-" else size


def _not_decimal(given: object, hint: str) -> InvalidError:
    return InvalidError(f"{given!r} is not a number here", code="normal.decimal", hint=hint)


def _not_time(given: str, hint: str) -> InvalidError:
    return InvalidError(f"{given!r} is not a time here", code="normal.time", hint=hint)
