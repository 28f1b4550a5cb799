"""Codes that change with time: which time step a code fits, and that none
counts twice.

Laws: a code counts in its own step and one step before and after, for clocks
that differ; a step that was used, and every step before it, counts no more.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

STEP_MS = 30_000
DRIFT = 1
DIGITS = 6


def step_at(now_ms: int) -> int:
    """Return the time step of a moment."""
    return now_ms // STEP_MS


def fitting_step(given: str, now_ms: int, used: int, code_at: Callable[[int], str]) -> int | None:
    """Return the step that a code fits and that was not used yet; None where
    there is none. Every step is compared, whichever fits."""
    digits = given.replace(" ", "")
    now, found = step_at(now_ms), None
    for step in range(now - DRIFT, now + DRIFT + 1):
        fits = hmac.compare_digest(code_at(step).encode(), digits.encode("utf-8", "replace"))
        if fits and step > used and found is None:
            found = step
    return found
