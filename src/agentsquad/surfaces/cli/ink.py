"""Ink: which styles a page may be printed in, and how they are written.

Colour only where the output is a terminal that has it, and never with NO_COLOR;
headings stay bold there. FORCE_COLOR has it everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import click

COLOURS = ("green", "red", "yellow")


class Ink(NamedTuple):
    """What the output can show."""

    terminal: bool = False
    weight: bool = False  # bold and dim
    colour: bool = False

    def styled(self, text: str, style: str) -> str:
        """Return a text as it is written in a style."""
        if style in COLOURS:
            return click.style(text, fg=style) if self.colour else text
        if style in ("bold", "dim") and self.weight:
            return click.style(text, bold=style == "bold" or None, dim=style == "dim" or None)
        return text


def ink_for(environment: Mapping[str, str], *, terminal: bool) -> Ink:
    """Return what an output can show, as the environment says."""
    forced = bool(environment.get("FORCE_COLOR"))
    able = forced or (terminal and environment.get("TERM", "") not in ("", "dumb", "unknown"))
    return Ink(terminal, weight=able, colour=able and not environment.get("NO_COLOR"))
