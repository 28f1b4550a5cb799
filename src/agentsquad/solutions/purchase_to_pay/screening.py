"""Looks for vendor names on a sanctions list and keeps the best hit.

Pure. How alike two names are is said by the format's own screen; what follows
from a score is policy.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agentsquad.integrations.formats.ofac import read_list
from agentsquad.integrations.formats.screening import Party, Screen

MINIMUM = 0.7


class Screening(msgspec.Struct, frozen=True, kw_only=True):
    """The best hit for a name; score 0 to 100, no `listed` when there is
    none."""

    name: str
    listed: str = ""
    score: int = 0
    program: str = ""
    entry: int = 0


class Screener:
    """A list made ready to be asked many times."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        listed = read_list(files)
        self._screen = Screen(listed)
        self._programs = {entry.id: ", ".join(entry.programs) for entry in listed.entries}
        self.digest = listed.digest

    @property
    def entries(self) -> int:
        """How many names there are, other names included."""
        return len(self._screen)

    def screen(self, name: str) -> Screening:
        """Return the most similar name on the list."""
        hits = self._screen.screen(Party(name=name), minimum=MINIMUM, limit=1)
        if not hits:
            return Screening(name=name)
        best = hits[0]
        return Screening(
            name=name,
            listed=best.matched,
            score=round(best.score * 100),
            program=self._programs.get(best.entry, ""),
            entry=best.entry,
        )
