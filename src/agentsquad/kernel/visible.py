"""Makes text from outside harmless to look at: what would steer a terminal, or
turn the order letters are shown in, is shown instead.

In the kernel because whoever shows a person something to decide on needs it:
what is approved must be what was seen.
"""

from __future__ import annotations

import re

# Control characters, marks of reading direction, halves of a surrogate pair.
STEERING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return a text that shows what would steer: an escape as \\x1b, a mark
    that turns the reading direction as \\u202e.

    Line breaks stay; a tab becomes a space.
    """
    if text.isascii() and text.isprintable():
        return text
    return STEERING.sub(lambda found: ascii(found[0])[1:-1], text.replace("\t", " "))
