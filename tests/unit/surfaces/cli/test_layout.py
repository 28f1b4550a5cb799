"""Pages: what fits is a table, what does not gives up columns, then becomes
cards; no kept word is broken."""

from __future__ import annotations

import pytest

from agentsquad.surfaces.cli.layout import ROWS_MAX, Column, Page, clipped
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
        "auto": True, "run": "kooa4lnr33pvumk24e5vmrb6tg", "outcomes": {"paid": 20, "held": 5},
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
