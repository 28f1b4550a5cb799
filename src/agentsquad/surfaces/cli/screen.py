"""What a watching person sees while an action works: one line, rewritten.

Only on a terminal, only on standard error, and never for programs.
"""

from __future__ import annotations

import shutil
import sys
import time

from agentsquad.kernel.visible import visible
from agentsquad.surfaces.cli.measure import beginning

EVERY_S = 0.1
CLEAR = "\r\x1b[K"


class Screen:
    """One line with what is being done, how far it is, and for how long."""

    def __init__(self, *, shown: bool) -> None:
        self._live = shown and sys.stderr.isatty()
        self._began = time.monotonic()
        self._last = 0.0
        self._dirty = False

    def progress(self, text: str, done: int | None, total: int | None) -> None:
        """Tell how far it is; called as often as anybody likes."""
        now = time.monotonic()
        finished = total is not None and done == total
        if not self._live or (now - self._last < EVERY_S and not finished):
            return
        self._last = now
        line = progress_line(text, done, total, now - self._began)
        width = shutil.get_terminal_size((80, 24)).columns
        sys.stderr.write(CLEAR + beginning(visible(line), width - 1))
        sys.stderr.flush()
        self._dirty = True

    def close(self) -> None:
        """Clear the line."""
        if self._dirty:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
            self._dirty = False


def progress_line(text: str, done: int | None, total: int | None, seconds: float) -> str:
    """Return one line of progress: a bar when the end is known."""
    clock = f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    if not total:
        return f"{clock}  {text}"
    part = min(1.0, (done or 0) / total)
    bar = ("█" * round(20 * part)).ljust(20, "·")
    return f"{clock}  {bar} {done or 0}/{total}  {text}"
