"""Quantity: the units manifests are written in, read into exact numbers.

Each function reads one notation ("2000m", "4Gi", "500ms", "99.9%",
"$1000/month", ">=13.0") and raises QuantityError, with an example, for anything
else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

import msgspec

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.money import Money
from agentsquad.kernel.pointer import get

Finding = tuple[str, str, str]

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_CPU = rf"{_NUMBER}(m?)"
_BYTES = rf"{_NUMBER}(Ki|Mi|Gi|Ti|Pi|Ei|k|K|M|G|T|P|E|)B?"
_GPU = r"(?:([a-z0-9.-]+/[A-Za-z0-9._-]+)\s*:\s*)?([0-9]{1,6})"
_PERCENT = rf"{_NUMBER}\s*%"
_DURATION = rf"(?:{_NUMBER}(ms|s|m|h|d|w))"
_RATE = r"(?:([$€£¥])|([A-Z]{3}) )?([0-9]{1,12}(?:\.[0-9]{1,6})?)(?: ([A-Z]{3}))?\s*/\s*([a-z]+)"
_CLAUSE = r"(>=|<=|==|!=|~=|>|<|=|\^|~|)\s*v?([0-9]+(?:\.[0-9]+){0,3})([-+][0-9A-Za-z.-]+)?"
_REFERENCE = r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)(?::(v?[0-9][0-9A-Za-z.+-]*))?"

_SCALE: Final = {
    "": 1,
    **{unit + "i": 1024 ** (index + 1) for index, unit in enumerate("KMGTPE")},
    **{unit: 1000 ** (index + 1) for index, unit in enumerate("KMGTPE")},
    "k": 1000,
}
_MILLISECONDS: Final = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_SIGNS: Final = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
PERIODS: Final = ("run", "call", "hour", "day", "week", "month", "year")


class QuantityError(InvalidError):
    """A quantity is not written in its notation."""

    code = "quantity.invalid"


class Cost(msgspec.Struct, frozen=True):
    """An amount of money in a period: an hour up to a year, a run or a call."""

    amount: Money
    period: str


class Clause(msgspec.Struct, frozen=True):
    """One condition of a version range, for example `>= 13.0`."""

    operator: str
    version: tuple[int, ...]


def cpu_millis(text: str) -> int:
    """Return thousandths of a processor: "2000m" and "2" are 2000."""
    found = re.fullmatch(_CPU, text)
    value = Fraction(found[1]) * (1 if found[2] else 1000) if found else Fraction(-1)
    if value < 0 or value.denominator != 1:
        raise _refused(text, "an amount of processors", "2000m or 2")
    return int(value)


def size_bytes(text: str) -> int:
    """Return bytes: "4Gi" is 4 * 2**30, "4G" is 4 * 10**9."""
    found = re.fullmatch(_BYTES, text)
    value = Fraction(found[1]) * _SCALE[found[2]] if found else Fraction(-1)
    if value < 0 or value.denominator != 1:
        raise _refused(text, "a size of memory", "4Gi or 512Mi")
    return int(value)


def gpus(text: str) -> tuple[str, int]:
    """Return (resource name, count) of "nvidia.com/gpu: 1" or "1"."""
    found = re.fullmatch(_GPU, text)
    if found is None:
        raise _refused(text, "a number of graphics processors", "nvidia.com/gpu: 1")
    return found[1] or "nvidia.com/gpu", int(found[2])


def percent(text: str) -> Fraction:
    """Return the share that "99.9%" is, from 0 to 1, exactly."""
    found = re.fullmatch(_PERCENT, text)
    share = Fraction(found[1]) / 100 if found else Fraction(2)
    if share > 1:
        raise _refused(text, "a percentage from 0% to 100%", "99.9%")
    return share


def duration_ms(text: str) -> int:
    """Return milliseconds of "500ms", "2h" or "1h30m"."""
    parts = re.findall(_DURATION, text)
    total = sum((Fraction(size) * _MILLISECONDS[unit] for size, unit in parts), Fraction(0))
    whole = "".join(size + unit for size, unit in parts) == text and bool(parts)
    if not whole or total.denominator != 1:
        raise _refused(text, "a duration in ms, s, m, h, d or w", "500ms, 2h or 1h30m")
    return int(total)


def cost(text: str) -> Cost:
    """Return what "$1000/month" or "0.50 EUR/run" allows."""
    found = re.fullmatch(_RATE, text)
    currency = (_SIGNS.get(found[1]) or found[2] or found[4]) if found else None
    if found is None or currency is None or (found[4] and (found[1] or found[2])):
        raise _refused(text, "an amount of money in a period", "$1000/month or 0.50 EUR/run")
    if found[5] not in PERIODS:
        raise QuantityError(f"{found[5]!r} is not a period", hint=f"one of {', '.join(PERIODS)}")
    return Cost(Money.parse(found[3], currency), found[5])


def version_range(text: str) -> tuple[Clause, ...]:
    """Return the conditions of a range such as ">=13.0" or ">=1.2, <2"."""
    if text.strip() in ("*", "latest"):
        return ()
    clauses = []
    for part in text.split(","):
        found = re.fullmatch(_CLAUSE, part.strip())
        if found is None:
            raise _refused(text, "a version or a range of versions", ">=13.0 or >=1.2,<2")
        numbers = tuple(int(number) for number in found[2].split("."))
        clauses.append(Clause(found[1] or "==", numbers))
    return tuple(clauses)


def in_range(version: str, text: str) -> bool:
    """Return whether a plain version such as "13.4" lies in a range."""
    exact = version_range(version)
    if len(exact) != 1 or exact[0].operator != "==":
        raise _refused(version, "one version", "13.4")
    return all(_holds(exact[0].version, clause) for clause in version_range(text))


def agent_reference(text: str) -> tuple[str, str | None]:
    """Return (name, version or None) of "claude-agent:v2.1.0"."""
    found = re.fullmatch(_REFERENCE, text)
    if found is None:
        raise _refused(text, "an agent's name, perhaps with a version", "matcher or matcher:v1.2.3")
    return found[1], found[2].removeprefix("v") if found[2] else None


def findings(spec: Mapping[str, Any], readers: Mapping[str, Callable[[str], Any]]) -> list[Finding]:
    """Return (pointer, expected, fix) of each place a reader refuses.

    Places that are absent are not looked at; a number is read as its text.
    """
    found = []
    for at, reader in readers.items():
        try:
            value = get(spec, at)
        except MissingError:
            continue
        try:
            reader(str(value))
        except InvalidError as error:
            found.append((at, error.details.get("expected", error.message), error.hint or ""))
    return found


def _holds(version: tuple[int, ...], clause: Clause) -> bool:
    size = max(len(version), len(clause.version))
    have = version + (0,) * (size - len(version))
    want = clause.version + (0,) * (size - len(clause.version))
    match clause.operator:
        case ">=":
            return have >= want
        case "<=":
            return have <= want
        case ">":
            return have > want
        case "<":
            return have < want
        case "!=":
            return have != want
        case "^":
            return have >= want and have[: _first_nonzero(want)] == want[: _first_nonzero(want)]
        case "~" | "~=":
            kept = max(1, len(clause.version) - 1) if clause.operator == "~=" else min(2, len(want))
            return have >= want and have[:kept] == want[:kept]
    return have == want


def _first_nonzero(version: tuple[int, ...]) -> int:
    return next((index + 1 for index, part in enumerate(version) if part), len(version))


def _refused(text: str, expected: str, example: str) -> QuantityError:
    return QuantityError(
        f"{text!r} is not {expected}",
        hint=f"write e.g. {example}",
        details={"expected": expected},
    )
