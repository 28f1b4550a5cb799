"""Trace: everything that happens in a simulation, as one line each, and a
digest over all lines.

Two runs of one seed are the same run exactly when their digests are equal. Only
the last lines are kept, unless all are asked for.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

LINES_MAX = 60


class Trace:
    """The lines of one simulation; `now` gives the virtual time of each."""

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        self.now: Callable[[], float] = lambda: 0.0
        self._hash = hashlib.sha256()
        self._show = show
        self.lines: deque[str] = deque(maxlen=LINES_MAX)
        self.counts: dict[str, int] = {}
        self.length = 0

    def note(self, who: str, what: str) -> None:
        """Add a line that a reader wants to see."""
        line = f"{self.now():12.3f} {who}: {what}"
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)
        self.length += 1
        if self._show is not None:
            self._show(line)

    def detail(self, what: str) -> None:
        """Add what only the digest needs: one operation of a disk, one step of
        the loop."""
        self._hash.update(what.encode() + b"\n")
        self.length += 1

    def fault(self, kind: str, who: str, what: str = "") -> None:
        """Add a fault that was injected, and count it."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.note(who, f"fault {kind} {what}".rstrip())

    @property
    def digest(self) -> str:
        """Return "sha256:…" over all lines so far."""
        return "sha256:" + self._hash.hexdigest()
