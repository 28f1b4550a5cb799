"""Cells of a terminal: measured as an independent library measures them, and
text is broken where no letter breaks."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from agentsquad.kernel.visible import visible
from agentsquad.surfaces.cli.cell import cut
from agentsquad.surfaces.cli.measure import beginning, cells, clusters, wrapped

LETTERS = [
    *("a", " ", "é", "e\u0301", "ß", "Ω", "…", "—", "→", "×", "€"),
    *("ア", "ｱ", "漢", "字", "한", "\u1112\u1161\u11ab", "の", "，"),
    *("א", "ع", "\u0627\u064b", "ก\u0e33", "क\u093e", "न\u093f", "के"),
    *("👍", "👍🏽", "👩‍👩‍👧", "❤", "❤\ufe0f", "🇩🇪", "🇫🇷", "#\ufe0f\u20e3", "✂\ufe0f", "🏳\ufe0f‍🌈"),
    *("\u200b", "\u00ad", "𠀀", "🧑‍💻"),
]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_takes_the_cells_another_library_says(letter: str) -> None:
    assert cells(letter) == wcswidth(letter)


@given(st.lists(st.sampled_from(LETTERS), max_size=20).map("".join))
def test_a_text_takes_the_cells_another_library_says(text: str) -> None:
    assert cells(text) == wcswidth(text)


@pytest.mark.slow
def test_nearly_every_character_of_this_unicode_is_as_wide_as_another_library_says() -> None:
    # It knows a later Unicode, in which some symbols are wide.
    odd = [
        code
        for code in range(0x20, 0x3FFFE)
        if unicodedata.category(chr(code)) not in ("Cs", "Cn")
        and (width := wcswidth(chr(code))) >= 0
        and cells(chr(code)) != width
    ]
    assert len(odd) < 300
    assert not [code for code in odd if code < 0x300 or 0x2000 <= code < 0x2070]


@given(st.text())
def test_clusters_are_the_text(text: str) -> None:
    assert "".join(piece for piece, _ in clusters(text)) == text
    assert sum(width for _, width in clusters(text)) == cells(text)


@given(st.text(), st.integers(1, 30))
def test_a_beginning_fits_and_is_one(text: str, width: int) -> None:
    found = beginning(text, width)
    assert text.startswith(found)
    assert cells(found) <= width


def test_an_emoji_of_several_characters_is_never_cut_in_two() -> None:
    family = "👩‍👩‍👧"
    assert beginning(f"ab{family}cd", 3) == "ab"
    assert beginning(f"ab{family}cd", 4) == f"ab{family}"
    assert cut("漢字漢字漢字", 8) == "漢字漢…"
    assert wrapped("漢字漢字", 5) == ["漢字", "漢字"]


@given(
    st.lists(st.sampled_from([*"abc de", "漢", "👍🏽", "e\u0301"])).map("".join), st.integers(2, 20)
)
def test_lines_fit_and_no_word_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(alphabet="abc d"), st.integers(2, 20))
def test_without_folding_every_word_stays_whole(text: str, width: int) -> None:
    lines = wrapped(text, width, fold=False)
    assert " ".join(lines).split() == text.split()
    assert all(cells(line) <= width or " " not in line.strip() for line in lines)


def test_a_line_keeps_its_indentation_and_breaks() -> None:
    assert wrapped("  one two three", 9) == ["  one two", "  three"]
    assert wrapped("a\n\nb", 9) == ["a", "", "b"]
    assert wrapped("", 9) == [""]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jall is well", "\\x1b[2Jall is well"),
        ("a\rb\x07", "a\\rb\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("pay \u202eDSU 001", "pay \\u202eDSU 001"),
        ("\ud800", "\\ud800"),
        ("a\tb\nc", "a b\nc"),
        ("漢字 – ok", "漢字 – ok"),
    ],
)
def test_what_would_steer_the_terminal_is_shown_instead(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_that_is_made_visible_steers(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert visible(shown) == shown
