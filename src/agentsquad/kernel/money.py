"""Money: an exact amount in one currency, as integer micro-units.

One unit is 1,000,000 micros, so prices per token and amounts to the cent use
the same value and nothing passes through a float. Currencies never mix: adding
dollars to euros is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from agentsquad.kernel.canonical import is_exact
from agentsquad.kernel.errors import InvalidError

MICROS = 1_000_000
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_AMOUNT = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)


class Money(msgspec.Struct, frozen=True):
    """An amount; `currency` has the shape of an ISO 4217 code."""

    micros: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse what is not a currency code or has no exact JSON number."""
        if not _CURRENCY.fullmatch(self.currency):
            raise InvalidError(
                f"{self.currency!r} is not a currency",
                code="money.currency",
                hint="expected three capital letters as in ISO 4217, e.g. USD",
            )
        if not is_exact(self.micros):
            raise InvalidError(
                f"{self.micros} micro-units of {self.currency} cannot be written exactly",
                code="money.range",
                hint="round the amount to fewer decimal places",
            )

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Read a plain decimal such as "12.34" or "-0.000001"; unrounded."""
        found = _AMOUNT.fullmatch(text) if len(text) <= 40 else None
        if found is None:
            raise InvalidError(
                f"{text!r} is not an amount",
                code="money.amount",
                hint="write digits with a point, without grouping, e.g. 1234.50",
            )
        sign, whole, fraction = found[1], found[2], (found[3] or "").rstrip("0")
        if len(fraction) > 6:
            raise InvalidError(
                f"{text!r} is finer than a micro-unit",
                code="money.precision",
                hint="at most six decimal places are kept: round it first",
            )
        micros = int(whole) * MICROS + int(fraction.ljust(6, "0"))
        return cls(-micros if sign == "-" else micros, currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Return nothing, in a currency."""
        return cls(0, currency)

    def decimal(self, places_min: int = 2) -> str:
        """Return the exact amount in as many places as needed: "12.34"."""
        whole, rest = divmod(abs(self.micros), MICROS)
        fraction = f"{rest:06d}".rstrip("0").ljust(places_min, "0")
        sign = "-" if self.micros < 0 else ""
        return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"

    def __add__(self, other: Money) -> Money:
        return Money(self.micros + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.micros - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.micros, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.micros), self.currency)

    def __bool__(self) -> bool:
        return self.micros != 0

    def __lt__(self, other: Money) -> bool:
        return self.micros < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.micros <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.micros > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.micros >= self._same(other)

    def times(self, factor: int | Decimal | Fraction, *, unit_micros: int = 1) -> Money:
        """Return the exact product, rounded half to even to `unit_micros`.

        `unit_micros=10_000` rounds to cents.
        """
        if isinstance(factor, float) or (isinstance(factor, Decimal) and not factor.is_finite()):
            raise InvalidError(
                f"{factor!r} is not an exact factor",
                code="money.factor",
                hint="multiply by an int, Decimal or Fraction",
            )
        units = round(Fraction(self.micros) * Fraction(factor) / unit_micros)
        return Money(units * unit_micros, self.currency)

    def allocate(self, weights: Sequence[int], *, unit_micros: int = 10_000) -> list[Money]:
        """Split by weights into parts whose sum is exactly this amount.

        Parts are whole `unit_micros` (cents); what is left over goes, unit by
        unit, to the largest remainders, the earlier first; a rest smaller than
        one unit goes to the first such part.
        """
        total = sum(weights)
        if total <= 0 or any(weight < 0 for weight in weights):
            raise InvalidError(
                f"cannot split by weights {list(weights)!r}",
                code="money.weights",
                hint="give weights of at least 0, not all 0",
            )
        sign = -1 if self.micros < 0 else 1
        units, rest = divmod(abs(self.micros), unit_micros)
        parts = [units * weight // total for weight in weights]
        order = sorted(
            (index for index, weight in enumerate(weights) if weight),
            key=lambda index: (-(units * weights[index] % total), index),
        )
        for index in order[: units - sum(parts)]:
            parts[index] += 1
        micros = [part * unit_micros for part in parts]
        micros[order[0]] += rest
        return [Money(sign * part, self.currency) for part in micros]

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise InvalidError(
                f"{self.currency} and {other.currency} do not mix",
                code="money.currency",
                hint="convert one of them at a stated rate first",
            )
        return other.micros


def sum_money(amounts: Iterable[Money], currency: str) -> Money:
    """Return the sum of amounts that must all be in `currency`."""
    total = Money.zero(currency)
    return Money(sum(total._same(amount) for amount in amounts), currency)
