"""How a drift report is laid out: the answer first, then what shows it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.insight.drift.comparison import compare, look
from agentsquad.insight.drift.contract import Change, Culprit, Report, Share
from agentsquad.insight.drift.report import answer
from agentsquad.insight.drift.window import window
from agentsquad.surfaces.cli.layout import Page
from agentsquad.surfaces.cli.views import view
from agentsquad.testing.drift_population import Drawn, Drift


def report(drift: Drift, *, blamed: bool = False) -> Any:
    drawn = Drawn("view")
    old, new = drawn.runs(60), drawn.runs(60, drift)
    looks, findings = look(old, new, 0.05)
    culprit = None
    if blamed:
        share = Share(factor="policy", forward=0.3, reverse=0.3, points=0.3, share=1.0, low=0.9,
                      high=1.0, changed=True)  # fmt: skip
        culprit = Culprit(
            verdict="policy", because="culprit: policy sha256:… (30 of 33 points)",
            feature="outcome/verdict", category="refused", sample=40, skipped=2, control=40,
            old=0.05, all_new=0.35, observed=0.33, shares=[share], notes=["a note of its own"],
        )  # fmt: skip
    made = Report(
        workflow="claims", alarm=any(one.drifted for one in findings), alpha=0.05, method="looks",
        answer=answer("claims", findings, window(new), looks, culprit),
        baseline=window(old), since=window(new), open_runs=0, waiting_runs=10, findings=findings,
        inputs=compare(old, new, 0.05, ("input",)), looks=looks, culprit=culprit,
        changes=[Change(factor="policy", of="", old="sha256:" + "a" * 64,
                        new="sha256:" + "b" * 64, first="2026-01-01T00:00:00.000Z")],
        notes=["a note"],
    )  # fmt: skip
    return msgspec.to_builtins(made, str_keys=True)


def text(plain: Any) -> str:
    page = Page()
    view("drift.show", plain, page)
    return page.text()


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")


def test_an_alarm_says_what_moved_how_far_and_why():
    shown = text(report(Drift(refused=0.6), blamed=True))
    first = " ".join(shown.split("baseline")[0].split())
    assert "verdict = refused went from" in first
    assert "culprit: policy" in first
    assert "█" in shown and "→" in shown
    assert "40 old runs driven again" in shown
    assert "versions that changed" in shown
    assert "a note of its own" in shown


def test_without_drift_it_says_so_and_shows_what_came_nearest():
    shown = text(report(Drift()))
    assert shown.startswith("no drift: none of ")
    assert "features nearest to moving" in shown
    assert "10 runs wait for the next look" in " ".join(shown.split())


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_page(width: int, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = text(report(Drift(refused=0.6), blamed=True))
    assert max(map(len, shown.splitlines())) <= width
