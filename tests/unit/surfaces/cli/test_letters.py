"""Letters a terminal lacks have a likeness as wide as they are."""

from __future__ import annotations

import pytest

from agentsquad.surfaces.cli.letters import LIKE, likeness
from agentsquad.surfaces.cli.measure import cells


def written(text: str, encoding: str) -> str:
    try:
        return text.encode(encoding).decode(encoding)
    except UnicodeEncodeError as error:
        shown, end = likeness(error)
        return error.object[: error.start] + str(shown) + written(error.object[end:], encoding)


def test_what_our_pages_are_drawn_with_keeps_its_width_in_ascii() -> None:
    assert written("4 × 2… → ok – █·", "ascii") == "4 x 2~ > ok - #."
    assert all(cells(letter) == len(shown) for letter, shown in LIKE.items())


def test_any_other_letter_is_escaped() -> None:
    assert written("漢 é \udc80", "ascii") == "\\u6f22 \\xe9 \\udc80"
    assert written("é…", "latin-1") == "é~"


def test_only_writing_is_lenient() -> None:
    with pytest.raises(UnicodeDecodeError):
        likeness(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"))
