"""Measure: how many cells of a terminal a text takes, and where it may be
broken.

Pure, on the character data every Python has: wide characters take two cells,
marks none, an emoji of several characters as many as it shows. `wcwidth` judges
it in the tests; as a dependency it would be 6 MB (docs/decisions/0006).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

JOINER = "\u200d"
AS_EMOJI = "\ufe0f"
SKIN = range(0x1F3FB, 0x1F400)
FLAG = range(0x1F1E6, 0x1F200)
# Emoji of a later Unicode than this Python's, and what is reserved for them.
PICTURES = range(0x1F300, 0x1FB00)
LATER_IDEOGRAPHS = range(0x20000, 0x3FFFE)
JAMO_INSIDE = (range(0x1160, 0x1200), range(0xD7B0, 0xD800))
SHOWN_FORMATS = range(0x0600, 0x0606)  # number signs of Arabic
SOFT_HYPHEN = "\u00ad"

WORD = re.compile(r"\s*\S+")


def cells(text: str) -> int:
    """Return how many cells a text without line breaks takes."""
    if text.isascii():
        return len(text)
    return sum(width for _, width in clusters(text))


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """Yield what is shown as one letter, with its cells; never cut inside."""
    held, width, begun = "", 0, 0
    for place, letter in enumerate(text):
        if begun < place and _continues(held, letter):
            held += letter
            width = _grown(held, width, letter)
            continue
        if held:
            yield held, width
        held, width, begun = letter, _cells_of(letter), place
    if held:
        yield held, width


def _continues(held: str, letter: str) -> bool:
    """Whether a letter belongs to what comes before it."""
    if letter.isascii():
        return False
    code = ord(letter)
    if code in FLAG:
        return len(held) == 1 and ord(held) in FLAG
    if code in SKIN:
        return _is_picture(held[-1])
    if held[-1] == JOINER:
        return (
            len(held) > 1
            and _is_picture(held[-2].replace(AS_EMOJI, held[0]))
            and (_is_picture(letter))
        )
    inside = any(code in one for one in JAMO_INSIDE) and unicodedata.category(held[0]) == "Lo"
    return letter == JOINER or inside or unicodedata.category(letter) in ("Mn", "Me", "Mc")


def _grown(held: str, width: int, letter: str) -> int:
    if letter == AS_EMOJI and width == 1 and not (held[0].isalpha() and held[0] != "ℹ"):
        return 2
    if ord(letter) in FLAG:
        return 2
    if unicodedata.category(letter) == "Mc":
        return width + 1
    return width


def _is_picture(letter: str) -> bool:
    return ord(letter) in PICTURES or unicodedata.category(letter) in ("So", "Sk")


@lru_cache(maxsize=4096)
def _cells_of(letter: str) -> int:
    category, code = unicodedata.category(letter), ord(letter)
    if category in ("Mn", "Me") or (category == "Cf" and letter != SOFT_HYPHEN):
        return int(code in SHOWN_FORMATS)
    if category in ("Mc", "Zl", "Zp") or any(code in one for one in JAMO_INSIDE):
        return 0
    if category == "Cn":
        return 2 if code in PICTURES or code in LATER_IDEOGRAPHS else 1
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") or code in FLAG else 1


def beginning(text: str, width: int) -> str:
    """Return as much of a text as fits."""
    if text.isascii():
        return text[:width]
    kept, room = [], width
    for piece, size in clusters(text):
        room -= size
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept)


def wrapped(text: str, width: int, *, fold: bool = True) -> list[str]:
    """Return a text as lines of at most `width` cells, broken between words.

    A line's indentation is that of what it continues. A word that is longer
    than a line is folded, or stands alone and too long without `fold`.
    """
    return [line for part in text.split("\n") for line in _filled(part, max(1, width), fold)]


def _filled(text: str, width: int, fold: bool) -> list[str]:
    if cells(text) <= width:
        return [text.rstrip()]
    indent = text[: len(text) - len(text.lstrip())]
    if cells(indent) > width // 2:
        indent = ""
    lines, line = [], ""
    for word in WORD.findall(text):
        if cells(line + word) <= width:
            line += word
            continue
        if line.strip():
            lines.append(line)
        line = indent + word.lstrip()
        if fold:
            *full, line = _folded(line, width)
            lines += full
    return [*lines, line]


def _folded(text: str, width: int) -> list[str]:
    lines, line, used = [], "", 0
    for piece, size in clusters(text):
        if used + size > width and line:
            lines.append(line)
            line, used = "", 0
        line, used = line + piece, used + size
    return [*lines, line]
