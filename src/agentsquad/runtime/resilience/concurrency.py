"""Concurrency: how many runs may be at work at once, learned from how long a
new one waits for the log, as a pure state machine over an explicit now.

The idea is that of TCP Vegas and of Netflix's concurrency-limits: what queues
shows in the delay long before anything fails, so the limit follows the delay
and nobody has to guess it. The delay that counts is the *shortest* of a window
(CoDel, RFC 8289): a burst makes some starts wait, only a standing queue makes
all of them wait.

Laws:
    1. The limit stays between `at_once_min` and `at_once_max`.
    2. It grows only in a window in which somebody waited for it, and never
       without a measurement while one is under way.
    3. A measurement begun before the last change says nothing about what the
       change did, and is not counted.
    4. It at most halves in one step.
"""

from __future__ import annotations

import math

import msgspec

_RISE = 1.25  # a disk may become slower, but one slow write does not tell so
_QUIET = 3.0  # a disk may be slow: its own delay, times this, is not a queue


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What an installation can say about admission.

    `delay_target_ms` is the wait for the log beyond which a run more only
    slows the others down. `patience_ms` is how long a start waits for its turn
    while more come than can be begun, and `waiting_max` how many may wait in
    all. The rest is the rhythm of measuring.
    """

    at_once_min: int = 8
    at_once_first: int = 32
    at_once_max: int = 10_000
    waiting_max: int = 10_000
    delay_target_ms: float = 100.0
    patience_ms: float = 1_000.0
    window_ms: float = 100.0
    interval_ms: float = 1_000.0
    intervals: int = 3


class Concurrency:
    """The limit and what it is learned from."""

    def __init__(self, tuning: Tuning, now_ms: float) -> None:
        self._tuning = tuning
        self._limit = float(max(tuning.at_once_min, min(tuning.at_once_first, tuning.at_once_max)))
        self._since = now_ms
        self._least: float | None = None
        self._quiet: float | None = None
        self._warm = False  # the first start also pays for what is loaded on first use
        self._pressed = False
        self._doubling = True
        self.delay_ms = 0.0

    @property
    def limit(self) -> int:
        """How many may be at work now."""
        return int(self._limit)

    @property
    def target_ms(self) -> float:
        """The delay that is accepted: as set, or what a slow disk needs."""
        return max(self._tuning.delay_target_ms, _QUIET * (self._quiet or 0.0))

    def press(self) -> None:
        """Note that somebody waits for the limit."""
        self._pressed = True

    def took(self, began_ms: float, now_ms: float, *, alone: bool) -> None:
        """Take in how long the log let one start wait; `alone` when little
        else was under way, which shows what the disk itself takes.
        """
        delay = now_ms - began_ms
        if alone and self._warm:
            quiet = self._quiet
            self._quiet = delay if quiet is None else min(delay, quiet * _RISE)
        self._warm = True
        if began_ms >= self._since:
            self._least = delay if self._least is None else min(self._least, delay)

    def turn(self, now_ms: float, *, measuring: bool) -> None:
        """Draw the conclusion of a window that is over; `measuring` while a
        start is on its way to the log.
        """
        if now_ms - self._since < self._tuning.window_ms:
            return
        least = self._least
        if least is None and measuring:
            return
        if least is not None and least > self.target_ms:
            self._doubling = False
            self._limit *= max(0.5, self.target_ms / least)
        elif self._pressed:
            self._limit += self._limit if self._doubling else math.sqrt(self._limit)
        low, high = self._tuning.at_once_min, self._tuning.at_once_max
        self._limit = min(max(self._limit, low), high)
        self.delay_ms = self.delay_ms if least is None else least
        self._since, self._least, self._pressed = now_ms, None, False
