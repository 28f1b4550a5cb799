"""Letters a terminal lacks: a likeness where there is one, else an escape.

Each likeness is one cell wide, as what it stands for, so that columns stay
straight in ASCII too.
"""

from __future__ import annotations

import codecs
import io
import sys

HANDLER = "agentsquad.likeness"
LIKE = {"…": "~", "×": "x", "→": ">", "–": "-", "—": "-", "█": "#", "·": ".", "’": "'", "§": "S"}


def likeness(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what is written for letters that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    shown = (LIKE.get(one) or one.encode("ascii", "backslashreplace").decode() for one in part)
    return "".join(shown), error.end


def lenient() -> None:
    """Make standard output and error write any text; names of files hold any
    bytes, and a terminal may lack letters."""
    codecs.register_error(HANDLER, likeness)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
