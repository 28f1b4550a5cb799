"""Secrets from a person: typed unseen at a terminal, piped in, or from a
file."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from agentsquad.kernel.errors import InvalidError, MissingError

LENGTH_MAX = 4_096


class TypedSecrets:
    """Reads from the terminal, the standard input and files."""

    def read(self, place: str, ask: str) -> str:
        """Return the first line found there, without its end."""
        if place == "-" and sys.stdin.isatty():
            return getpass.getpass(f"{ask}: ")
        try:
            text = sys.stdin.readline(LENGTH_MAX) if place == "-" else _first_line(place)
        except FileNotFoundError as error:
            raise MissingError(f"{place}: no such file", code="identity.secret_missing") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidError(
                f"{place} cannot be read as text", code="identity.secret_unreadable"
            ) from error
        secret = text.rstrip("\r\n")
        if not secret:
            raise InvalidError(
                "there is nothing to read", code="identity.secret_empty",
                hint="give it on the first line of the file or of the standard input",
            )  # fmt: skip
        return secret


def _first_line(place: str) -> str:
    with Path(place).open(encoding="utf-8") as file:
        return file.readline(LENGTH_MAX)
