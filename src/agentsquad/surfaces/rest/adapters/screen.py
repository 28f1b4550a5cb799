"""The terminal of whoever typed a command."""

from __future__ import annotations

import sys


class StandardScreen:
    """Writes to the standard error, so that the output stays what it is
    (`Screen`)."""

    @property
    def attended(self) -> bool:
        """Whether somebody sits at a terminal."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Show lines, without anything that would steer the terminal."""
        for line in text.splitlines():
            safe = "".join(char for char in line if char.isprintable())
            sys.stderr.write(safe + "\n")
        sys.stderr.flush()
