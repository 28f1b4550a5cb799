"""Recovery codes: ten words for the day the second factor is lost, each good
once."""

from __future__ import annotations

import base64

COUNT = 10
SIZE = 15  # bytes: 120 bits, shown as six groups of four


def codes(chance: bytes) -> tuple[str, ...]:
    """Return codes made of random bytes, `COUNT * SIZE` of them."""
    made = []
    for place in range(COUNT):
        text = base64.b32encode(chance[place * SIZE : (place + 1) * SIZE]).decode().lower()
        made.append("-".join(text[i : i + 4] for i in range(0, len(text), 4)))
    return tuple(made)


def normal(given: str) -> bytes:
    """Return a code as it is compared: however it was written."""
    return "".join(char for char in given.lower() if char.isalnum()).encode()
