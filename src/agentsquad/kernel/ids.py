"""Ids and readings: time-ordered ids and a hybrid logical clock, from ports.

Both are plain text whose alphabetical order is their order in time. Neither
reads a clock or draws a random number itself, so tests and replay decide what
they get. One object belongs to one writer; sharing it between threads needs a
lock outside.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.ports import Clock, Entropy

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_BITS = 80
_MS_MAX = 2**48 - 1
_COUNTER_MAX = 0xFFFF
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READING = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.(\d{3})Z/([0-9a-f]{4})", re.ASCII)


def new_id(clock: Clock, entropy: Entropy) -> str:
    """Return 26 base32 characters: 48 bits of milliseconds, 80 random bits."""
    return _spell(_milliseconds(clock), int.from_bytes(entropy.token(10), "big"))


class IdGenerator:
    """Ids that rise strictly, even within one millisecond or a set-back."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self._last = -1

    def next(self) -> str:
        """Return an id greater than every one returned before."""
        fresh = _milliseconds(self._clock) << _RANDOM_BITS
        if fresh >> _RANDOM_BITS > self._last >> _RANDOM_BITS:
            self._last = fresh | int.from_bytes(self._entropy.token(10), "big")
        else:
            self._last += 1
        return _spell(self._last >> _RANDOM_BITS, self._last & (2**_RANDOM_BITS - 1))


def id_time_ms(identifier: str) -> int:
    """Return the milliseconds since 1970 that an id was made at."""
    try:
        if len(identifier) != 26:
            raise ValueError
        value = 0
        for letter in identifier:
            value = value * 32 + _ALPHABET.index(letter)
    except ValueError:
        raise InvalidError(
            f"{identifier!r} is not an id",
            code="ids.invalid",
            hint="expected 26 characters of 0-9 and a-z without i, l, o, u",
        ) from None
    return value >> _RANDOM_BITS


class HybridClock:
    """A hybrid logical clock (Kulkarni et al., 2014), near to wall time.

    A reading is "<RFC 3339 UTC, milliseconds>/<counter, four hex digits>".
    Laws: each reading is greater than all readings this object returned or
    merged before; its wall part is at least the clock's, and ahead of it only
    as far as the clock went back or a merged reading was ahead.
    """

    def __init__(self, clock: Clock, *, drift_ms_max: int | None = None) -> None:
        """Start; `drift_ms_max` bounds how far ahead others may be."""
        self._clock = clock
        self._drift_ms_max = drift_ms_max
        self._wall_ms = -1
        self._counter = 0
        self._spelled_ms = -1
        self._spelled = ""
        self._second = -1
        self._second_text = ""

    def tick(self) -> str:
        """Return a reading for an event that happens now."""
        now_ms = self._clock.now_ms()
        if now_ms > self._wall_ms:
            _checked(now_ms)
            self._wall_ms, self._counter = now_ms, 0
            return self._reading()
        if now_ms < 0:
            _checked(now_ms)
        if self._wall_ms == self._spelled_ms and self._counter < _COUNTER_MAX:
            self._counter += 1
            return f"{self._spelled}{self._counter:04x}"
        self._advance()
        return self._reading()

    def merge(self, reading: str) -> str:
        """Take in a reading from elsewhere and return one after it.

        Raises InvalidError `ids.reading` for a malformed one and `ids.drift`
        for one further ahead than allowed.
        """
        their_ms, their_counter = parse_reading(reading)
        now_ms = _milliseconds(self._clock)
        if self._drift_ms_max is not None and their_ms - now_ms > self._drift_ms_max:
            raise InvalidError(
                f"reading {reading!r} is {their_ms - now_ms} ms ahead of this clock",
                code="ids.drift",
                hint=f"at most {self._drift_ms_max} ms are allowed: set the clocks",
            )
        if now_ms > self._wall_ms and now_ms > their_ms:
            self._wall_ms, self._counter = now_ms, 0
        else:
            if their_ms > self._wall_ms:
                self._wall_ms, self._counter = their_ms, their_counter
            elif their_ms == self._wall_ms:
                self._counter = max(self._counter, their_counter)
            self._advance()
        return self._reading()

    def _advance(self) -> None:
        if self._counter < _COUNTER_MAX:
            self._counter += 1
        else:
            self._wall_ms, self._counter = self._wall_ms + 1, 0

    def _reading(self) -> str:
        second, milliseconds = divmod(self._wall_ms, 1000)
        if second != self._second:
            self._second, self._second_text = second, _seconds_text(second)
        self._spelled_ms = self._wall_ms
        self._spelled = f"{self._second_text}.{milliseconds:03d}Z/"
        return f"{self._spelled}{self._counter:04x}"


def parse_reading(reading: str) -> tuple[int, int]:
    """Return (milliseconds since 1970, counter) of a hybrid clock's reading."""
    found = _READING.fullmatch(reading)
    try:
        if found is None:
            raise ValueError
        wall = datetime.fromisoformat(found[1] + "+00:00")
    except ValueError:
        raise InvalidError(
            f"{reading!r} is not a reading of a hybrid clock",
            code="ids.reading",
            hint="expected e.g. 2026-11-23T12:00:00.123Z/0000",
        ) from None
    return (wall - _EPOCH) // timedelta(seconds=1) * 1000 + int(found[2]), int(found[3], 16)


def rfc3339(time_ms: int) -> str:
    """Return milliseconds since 1970 as 2026-11-23T12:00:00.123Z (RFC 3339)."""
    second, milliseconds = divmod(time_ms, 1000)
    return f"{_seconds_text(second)}.{milliseconds:03d}Z"


def _seconds_text(second: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()
    except OverflowError:
        raise InvalidError(
            f"{second} seconds since 1970 is outside the years 1 to 9999",
            code="ids.time",
            hint="times are milliseconds since 1970-01-01T00:00Z",
        ) from None


def _milliseconds(clock: Clock) -> int:
    return _checked(clock.now_ms())


def _checked(now_ms: int) -> int:
    if not 0 <= now_ms <= _MS_MAX:
        raise InvalidError(
            f"the clock says {now_ms} ms", code="ids.time", hint="expected a time after 1970"
        )
    return now_ms


def _spell(time_ms: int, random: int) -> str:
    value = time_ms << _RANDOM_BITS | random
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])
