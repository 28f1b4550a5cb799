"""Screening: the port through which texts are looked at before a model reads
them."""

from __future__ import annotations

from collections.abc import Sequence

from agentsquad.trust.threats.contract import ProtectionError, Screened
from agentsquad.trust.threats.injection import screen

MODES = ("off", "log", "block")
NOTHING = Screened()


class RuleScreen:
    """Screens by the rules of injection.py."""

    def __init__(self, mode: str = "log") -> None:
        if mode not in MODES:
            raise ProtectionError(
                f"SQUAD_SCREENING={mode!r} is no way to screen", hint="off, log or block"
            )
        self._mode = mode

    @property
    def blocks(self) -> bool:
        """Whether an attempt is refused."""
        return self._mode == "block"

    def look(self, texts: Sequence[str]) -> Screened:
        """Return what was seen in the worst of some texts."""
        if self._mode == "off":
            return NOTHING
        return max((screen(text) for text in texts), key=lambda one: one.score, default=NOTHING)
