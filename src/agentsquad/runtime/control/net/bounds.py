"""Bounds of a search: time and states, and which of them was met first."""

from __future__ import annotations

from collections.abc import Callable


class Bounds:
    """How long a search may take; shares of it are bounds of their own."""

    def __init__(self, clock: Callable[[], float], seconds: float, states: int) -> None:
        """`clock` reads milliseconds that never go back."""
        self.clock = clock
        self.begin = clock()
        self.until = self.begin + seconds * 1000
        self.states = states

    def share(self, part: float, states: int | None = None) -> Bounds:
        """Return bounds for a part of the time that is left."""
        left = max(0.0, self.until - self.clock())
        found = Bounds(self.clock, left * part / 1000, min(states or self.states, self.states))
        return found

    def over(self) -> bool:
        """Whether time is up."""
        return self.clock() >= self.until

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return (self.clock() - self.begin) / 1000
