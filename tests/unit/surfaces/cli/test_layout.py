"""Pages: what fits is a table, what does not gives up columns, then becomes
cards; no kept word is broken."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.surfaces.cli.ink import Ink, ink_for
from agentsquad.surfaces.cli.layout import ROWS_MAX, Column, Page, clipped
from agentsquad.surfaces.cli.measure import cells
from agentsquad.surfaces.cli.screen import Screen, progress_line
from agentsquad.surfaces.cli.views import VIEWS, view


@pytest.fixture(autouse=True)
def forty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")


def printed(columns: list[Column], rows: list[list[str]]) -> list[str]:
    page = Page()
    page.table(columns, rows)
    return page.text().splitlines()


def test_numbers_stand_to_the_right_and_names_to_the_left() -> None:
    shown = printed(
        [Column("name", keep=True), Column("paid", right=True)], [["a", "9.50"], ["b", "10.00"]]
    )
    assert shown == ["name   paid", "a      9.50", "b     10.00"]


def test_a_narrow_page_gives_up_what_may_be_dropped_first() -> None:
    columns = [Column("id", keep=True), Column("note", keep=True, drop=1),
               Column("more", keep=True, drop=2)]  # fmt: skip
    shown = printed(columns, [["x" * 20, "n" * 16, "m" * 16]])
    assert shown == ["id".ljust(22) + "note", "x" * 20 + "  " + "n" * 16]


def test_what_cannot_fit_becomes_cards_with_whole_words() -> None:
    shown = printed([Column("id", keep=True), Column("to", keep=True)], [["x" * 30, "y" * 30]])
    assert shown == ["id  " + "x" * 30, "to  " + "y" * 30]


def test_columns_empty_in_every_row_are_left_out() -> None:
    assert printed([Column("a"), Column("b")], [["1", ""], ["2", ""]]) == ["a", "1", "2"]


def test_a_value_too_long_for_its_place_gets_a_line_of_its_own() -> None:
    page = Page()
    page.pairs([("root", "sha256:" + "a" * 64), ("empty", None), ("size", 3)])
    assert page.text().splitlines() == ["root", "  sha256:" + "a" * 64, "size  3"]


def test_a_long_table_shows_its_ends() -> None:
    rows = [[str(n)] for n in range(500)]
    shown = clipped(rows)
    assert len(shown) == ROWS_MAX
    assert (shown[0], shown[-1]) == (["0"], ["499"])
    assert any("500 in all" in line for line in printed([Column("n")], rows))


def test_markup_in_what_others_wrote_is_printed_and_not_obeyed() -> None:
    assert printed([Column("a")], [["[red]x[/red] :smile:"]])[-1] == "[red]x[/red] :smile:"


def test_loose_columns_share_the_room_that_kept_ones_leave() -> None:
    columns = [Column("id", keep=True), Column("why"), Column("note")]
    shown = printed(columns, [["7", "because it is so " * 2, "ok"]])
    assert shown == [
        "id  why                             note",
        "7   because it is so because it is  ok",
        "    so",
    ]
    cards = printed(columns, [["7", "left " * 9, "right " * 9]])
    assert cards[0] == "id    7"
    page = Page()
    page.width = 44
    page.table(columns, [["7", "left " * 9, "right " * 9]])
    assert page.text().splitlines()[1] == "7   left left left      right right right"


def test_words_stay_whole_where_all_of_them_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    columns = [Column("name"), Column("was"), Column("now")]
    shown = printed(columns, [["purchase-to-pay-case", "one two three " * 3, "four five six " * 3]])
    assert shown[1].split()[0] == "purchase-to-pay-case"
    assert all(len(line) <= 60 for line in shown)


def test_wide_letters_keep_the_columns_straight() -> None:
    columns = [Column("vendor", keep=True), Column("paid", right=True)]
    shown = printed(
        columns, [["株式会社", "1.00"], ["Cafe\u0301", "22.00"], ["👩‍👩‍👧 & co", "3.00"]]
    )
    assert shown == [
        "vendor     paid",
        "株式会社   1.00",
        "Cafe\u0301      22.00",
        "👩‍👩‍👧 & co    3.00",
    ]


PIECES = [*"abcdefgh  \n\t", "漢", "👍🏽", "e\u0301", "\x1b", "…"]
CELL = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
COLUMN = st.builds(
    Column,
    st.text(alphabet="name ", min_size=1, max_size=8),
    keep=st.booleans(),
    right=st.booleans(),
    drop=st.integers(0, 3),
)


@given(st.data(), st.lists(COLUMN, min_size=1, max_size=5), st.integers(1, 60))
def test_a_table_is_as_wide_as_the_page_unless_one_kept_cell_is_wider(
    data: st.DataObject, columns: list[Column], width: int
) -> None:
    row = st.lists(CELL, min_size=len(columns), max_size=len(columns))
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    page = Page()
    page.width = width
    page.table(columns, rows)
    text = page.text()
    assert "\x1b" not in text
    longest = max(len(word) for row in rows for cell in row for word in [*cell.split(), ""])
    for line in text.splitlines():
        # A name and a value side by side, or a word that is never broken.
        assert cells(line) <= width or max(map(cells, line.split())) <= max(longest * 4, 8)
        assert line == line.rstrip()


@given(st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=4))
def test_ink_changes_nothing_but_the_ink(rows: list[list[str]]) -> None:
    page = Page()
    page.title("steps")
    page.table([Column("status"), Column("what", keep=True)], [["done", "x"], *rows])
    page.pairs([("status", "failed"), ("name", rows[0][0])])
    inked = page.text(Ink(terminal=True, weight=True, colour=True))
    assert "\x1b[32mdone" in inked
    assert re.sub(r"\x1b\[\d+m", "", inked) == page.text()


def test_what_was_made_for_a_program_is_exact_in_a_file_and_harmless_on_a_terminal() -> None:
    text = "ISA*00\x1dIEA*1 \x1d\x1b[2J\r\nnext\x85"
    page = Page()
    page.raw(text)
    assert page.text() == text + "\n"
    shown = page.text(Ink(terminal=True))
    assert shown == "ISA*00\\x1dIEA*1 \\x1d\\x1b[2J\nnext\\x85\n"


@pytest.mark.parametrize(
    ("environment", "terminal", "weight", "colour"),
    [
        ({"TERM": "xterm"}, True, True, True),
        ({"TERM": "xterm"}, False, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True, True),
        ({"TERM": "dumb"}, True, False, False),
        ({}, True, False, False),
        ({"FORCE_COLOR": "1"}, False, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True, False),
    ],
)
def test_the_ink_is_what_terminal_and_environment_allow(
    environment: dict[str, str], terminal: bool, weight: bool, colour: bool
) -> None:
    assert ink_for(environment, terminal=terminal) == Ink(terminal, weight, colour)


def test_what_was_done_is_shown_even_when_its_own_layout_fails() -> None:
    page = Page()
    assert "runs.replay" in VIEWS
    view("runs.replay", {"run": "abc", "surprise": 1}, page)
    assert page.text().splitlines() == ["run       abc", "surprise  1"]


def test_the_demo_ends_with_orders_money_and_the_known_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = Page()
    plain = {
        "orders": 25, "runs": 120, "matched": 14, "exceptions": {"price_drift": 2, "duplicate": 1},
        "paid": {"USD": "100.00", "EUR": "5.00"}, "held": {"USD": "1.10"},
        "ground_truth": "matches", "differences": [], "cost": {"USD": "0.00"}, "events": 900,
        "head": {"size": 900, "root": "sha256:" + "a" * 64}, "models": [], "approvals": 3,
        "auto": True, "run": "kooa4lnr33pvumk24e5vmrb6tg", "status": "completed",
        "left": [], "outcomes": {"paid": 20, "held": 5},
    }  # fmt: skip
    view("demo.run", plain, page)
    lines = page.text().splitlines()
    for line in (
        "orders     25 (14 matched)",
        "approvals  3 by rule",
        "price drift      2",
        "EUR         5.00  0.00",
        "USD       100.00  1.10",
        "ground truth  matches",
    ):
        assert line in lines
    assert max(map(len, lines)) <= 80


def test_differences_from_the_known_answer_are_said_once_and_only_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = Page()
    plain = {
        "orders": 25, "runs": 99, "matched": 15, "exceptions": {}, "paid": {}, "held": {},
        "ground_truth": "differs", "cost": {}, "events": 9, "head": None, "models": [],
        "approvals": 3, "auto": False, "run": "k", "outcomes": {}, "status": "completed",
        "left": [], "differences": [
            {"field": "paid", "expected": {"CAD": "8.00", "EUR": "2.00"}, "came": {"EUR": "2.00"}},
            {"field": "exceptions", "expected": {"price_drift": 2, "late": 1},
             "came": {"late": 1, "price_drift": 2, "approval_refused": 1}},
            {"field": "4500210007.outcome", "kind": "late", "expected": "paid", "came": "held"},
        ],
    }  # fmt: skip
    view("demo.run", plain, page)
    shown = page.text().partition("differences from the known answer\n")[2].splitlines()
    assert [line.split() for line in shown[:4]] == [
        ["what", "expected", "came"],
        ["paid", "CAD", "8.00", "–"],
        ["exceptions", "approval", "refused", "–", "1"],
        ["4500210007.outcome", "paid", "held"],
    ]
    assert "price drift" not in page.text()


def test_what_a_folder_came_to_shows_every_exception_and_loose_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    found = {"kind": "price_drift", "disposition": "hold", "because": "too dear", "po": "4711",
             "document": "A-1", "line": "2"}  # fmt: skip
    loose = {"kind": "bad_control_totals", "disposition": "reject", "because": "SE01 says 9",
             "document": "a-file-with-a-long-name.edi ISA 1 GS 2 ST 3"}  # fmt: skip
    output = {
        "folder": "in", "files": 2, "acknowledgements": 2, "orders": 1, "matched": 0,
        "outcomes": {"held": 1}, "exceptions": {"price_drift": 1}, "paid": {}, "skipped": {},
        "held": {"USD": "5.00"}, "cases": [{"po": "4711", "exceptions": [found]}],
        "loose": [loose],
    }  # fmt: skip
    page = Page()
    view("runs.start", {"run": "k", "status": "completed", "output": output, "error": None}, page)
    lines = [line.split() for line in page.text().splitlines()]
    assert ["4711", "A-1", "2", "price", "drift", "hold", "too", "dear"] in lines
    assert ["documents", "that", "belong", "to", "no", "order"] in lines
    last = ["…le-with-a-long-name.edi", "bad", "control", "totals", "reject", "SE01", "says", "9"]
    assert last in lines


def test_progress_is_one_line_with_a_bar_when_the_end_is_known() -> None:
    assert progress_line("matching", 5, 20, 65.2) == "1:05  █████··············· 5/20  matching"
    assert progress_line("waiting", None, None, 3) == "0:03  waiting"


def test_progress_goes_to_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(shown=True)
    screen.progress("x", 1, 2)
    screen.close()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    screen = Screen(shown=True)
    screen.progress("matching", 2, 2)
    screen.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2  matching" in err
    assert err.endswith("\r\x1b[K")


def test_the_inbox_gives_each_invoice_of_a_question_its_own_line() -> None:
    page = Page()
    question = {
        "id": "73cdf9bbbc1b",
        "action": "payments.send",
        "input": {},
        "because": "risk low",
        "roles": ["ap_clerk"],
        "asked": "2026-11-23T14:18:02.000Z/0000",
        "requester": "agent:x",
        "run": "r",
        "position": "9",
        "evidence": {"invoices": [{"number": "A-1"}, {"number": "A-2"}], "notes": ["one", "two"]},
    }
    view("runs.inbox", {"items": [question]}, page)
    lines = [line.rstrip() for line in page.text().splitlines()]
    at = lines.index("  invoices  number A-1")
    assert lines[at + 1 : at + 3] == ["            number A-2", "  notes     one, two"]
