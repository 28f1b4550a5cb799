"""What the main commands print for people, at 80 columns, on one small
store."""

from __future__ import annotations

import re
from typing import Any

import pytest

COMMANDS = {
    "runs-list": ("runs", "list"),
    "runs-show": ("runs", "show", "{paid}"),
    "runs-show-waiting": ("runs", "show", "{asks}"),
    "inbox": ("inbox",),
    "log-show": ("log", "show", "--limit", "9"),
    "log-show-one": ("log", "show", "5"),
    "log-stats": ("log", "stats"),
    "log-verify": ("log", "verify"),
    "log-prove": ("log", "prove", "3"),
    "cost": ("cost",),
    "cost-by-model": ("cost", "--by", "model"),
    "replay": ("replay", "{paid}"),
    "fork": ("fork", "{paid}", "--set", "input/lines=[1,2,3]"),
    "budget-set": ("budget", "set", "tenant:acme", "250.00", "USD", "--period", "month"),
    "budget-show-empty": ("budget", "show"),
    "explain": ("explain", "AgentWorkflow.graph.nodes"),
    "policy-ask": ("policy", "ask", "--action", "shop.pay", "--actor", "agent:x"),
    "prove": ("prove", "{paid}", "-o", "case.zip"),
    "run": ("run", "order", "--input", '{"lines": [2]}', "--key", "again"),
    "version": ("version",),
}


@pytest.fixture
def ids(squad: Any) -> dict[str, str]:
    items = squad("runs", "list", "-o", "json").json()["items"]
    return {"asks": items[0]["id"], "paid": items[1]["id"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_is_as_its_golden_file(squad: Any, golden: Any, ids: dict, name: str) -> None:
    said = squad(*(word.format(**ids) if "{p" in word or "{a" in word else word
                   for word in COMMANDS[name]))  # fmt: skip
    assert (said.code, said.err) == (0, "")
    golden(name, steady(said.out))


def steady(text: str) -> str:
    """Hide what comes from the machine: versions, digests of definitions that
    change with the code, sizes that follow from them."""
    text = re.sub(r"[0-9a-f]{12}…", "HASH", text)
    text = re.sub(r"[0-9a-f]{64}|[A-Za-z0-9+/]{43}=", "HASH", text)
    # Questions are named by what they bind, the policy among it.
    text = re.sub(r"\b[0-9a-f]{12}\b", "QUESTION----", text)
    text = re.sub(r"[\d,.]+ bytes", "N bytes", text)
    text = re.sub(r"(bytes +)[\d,]+ \([\d.]+ an event\)", r"\1N", text)
    return re.sub(r"(squad|Python) \d+\.\d+\.\d+", r"\1 N", text)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_than_the_page_unless_one_word_is(
    squad: Any, ids: dict, name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = [word.format(**ids) if "{p" in word or "{a" in word else word
             for word in COMMANDS[name]]  # fmt: skip
    said = squad(*words)
    wide = [
        line
        for line in said.out.splitlines()
        if len(line) > columns and max(map(len, line.split())) < columns - 4
    ]
    assert wide == []
    assert not any(line != line.rstrip() for line in said.out.splitlines())
    assert '{"' not in said.out, "raw JSON is not for people"
    assert "\x1b" not in said.out


@pytest.mark.slow
def test_a_budget_without_windows_names_its_period_once(squad: Any) -> None:
    squad("budget", "set", "tenant:acme", "250.00", "USD")
    assert squad("budget", "show").out.splitlines()[1].split()[:3] == [
        "tenant:acme", "total", "250.00"]  # fmt: skip


@pytest.mark.slow
def test_ids_are_never_broken(squad: Any, ids: dict) -> None:
    assert ids["paid"][:10] in squad("runs", "list").out
    assert ids["paid"] in squad("runs", "show", ids["paid"][:10]).out
    assert "2026-11-23 " in squad("runs", "list").out


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_object_and_nothing_else(squad: Any, ids: dict, name: str) -> None:
    words = [word.format(**ids) if "{p" in word or "{a" in word else word
             for word in COMMANDS[name]]  # fmt: skip
    for place in ("before", "after"):
        said = squad("-o", "json", *words) if place == "before" else squad(*words, "-o", "json")
        assert said.code == 0
        assert isinstance(said.json(), dict)
        assert said.err == ""


@pytest.mark.slow
def test_yaml_says_the_same_as_json(squad: Any) -> None:
    import yaml

    said = squad("runs", "list", "-o", "yaml")
    assert yaml.safe_load(said.out) == squad("runs", "list", "-o", "json").json()


@pytest.mark.slow
def test_a_run_list_has_what_others_count_on(squad: Any) -> None:
    item = squad("runs", "list", "-o", "json").json()["items"][1]
    assert item["workflow"] == "order"
    assert item["status"] == "completed"
    assert item["cost"] == {"USD": "1.25"}
    assert {"id", "started", "ended"} <= set(item)


@pytest.mark.slow
def test_colour_is_for_terminals_and_never_with_no_color(
    squad: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    green, bold = "\x1b[32mcompleted\x1b[0m", "\x1b[1mrun"

    def printed() -> str:
        return squad("runs", "list").out

    assert "\x1b" not in printed()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert green in printed()
    assert bold in printed()
    monkeypatch.setenv("NO_COLOR", "1")
    assert green not in printed()
    assert bold in printed()
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in printed()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert green in printed()


@pytest.mark.slow
def test_what_a_schedule_is_due_next_is_said_in_utc(monkeypatch: Any) -> None:
    from agentsquad.surfaces.cli.layout import Page
    from agentsquad.surfaces.cli.views import view

    monkeypatch.setenv("COLUMNS", "80")
    page = Page()
    one = {"workflow": "close", "cron": "0 7 * * *", "timezone": "Europe/Berlin",
           "next": "2026-11-24T06:00:00Z"}  # fmt: skip
    view("schedules.list", {"items": [one]}, page)
    head, row = page.text().splitlines()
    assert head.endswith("next (UTC)")
    assert row.endswith("2026-11-24 06:00:00")


EMPTY = {
    "runs.list": "runs",
    "runs.inbox": "questions",
    "runs.resume": "runs",
    "cost.show": "costs",
    "budget.show": "budgets",
    "schedules.list": "schedules",
    "schedules.run": "runs",
    "models.list": "models",
    "resources.get": "resources",
    "a.plugin's": "items",
}


@pytest.mark.parametrize("action", EMPTY)
def test_an_empty_list_says_no_and_of_what(action: str) -> None:
    from agentsquad.surfaces.cli.layout import Page
    from agentsquad.surfaces.cli.views import view

    page = Page()
    view(action, {"items": []}, page)
    assert page.text().startswith(f"no {EMPTY[action]}")


@pytest.mark.slow
def test_a_check_of_the_readings_begins_with_its_verdict(squad: Any) -> None:
    assert squad("rebuild").out.splitlines()[0] == "rebuilt"
    assert squad("rebuild", "--check").out.splitlines()[0] == "identical"


@pytest.mark.slow
@pytest.mark.parametrize("words", [("run", "order", "--key", "asks", "--no-wait"), ("resume",)])
def test_a_run_that_waits_says_exactly_what_to_type(squad: Any, ids: dict, words: Any) -> None:
    given = ("--input", '{"lines": [30]}') if words[0] == "run" else ()
    said = squad(*words, *given)
    item = squad("inbox", "-o", "json").json()["items"][0]["id"]
    assert said.code == 0
    assert f"\n  squad approve {item} --reason '…' --as WHO\n" in said.out
    assert "shop.pay may be answered by: boss" in said.out
    assert "questions" not in squad(*words, *given, "-o", "json").out
    answered = squad("approve", item, "--reason", "looked", "--as", "ada")
    assert answered.code == 0, answered.err


ORDER = """\
ISA*00*          *00*          *ZZ*HARBORLIGHT    *ZZ*PRAIRIEFOODS   \
*260302*0900*U*00401*000000001*0*T*>~
GS*PO*HARBORLIGHT*PRAIRIEFOODS*20260302*0900*1*X*004010~
ST*850*0001~
BEG*00*SA*4711**20260302~
PO1*1*10*EA*2.50**VP*FLOUR-25~
CTT*1~
SE*5*0001~
GE*1*1~
IEA*1*000000001~
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "json"])
def test_what_a_conversion_prints_converts_back(squad: Any, tmp_path: Any, form: str) -> None:
    (tmp_path / "order.edi").write_text(ORDER)
    there = squad("edi", "convert", "order.edi", "-o", form)
    assert there.code == 0
    (tmp_path / "order.json").write_text(there.out)
    assert squad("edi", "convert", "order.json").out == ORDER
    assert squad("edi", "convert", "order.json", "-o", "json").json() == {"text": ORDER}


def test_names_of_models_are_not_broken_but_their_status_is(monkeypatch: Any) -> None:
    from agentsquad.surfaces.cli.layout import Page
    from agentsquad.surfaces.cli.views import view

    monkeypatch.setenv("COLUMNS", "60")
    name = "somewhere/a-model-with-a-long-name"
    one = {"name": name, "status": "needs the key that SOMEWHERE_KEY names", "network": True,
           "priced": True, "embeds": False, "requests_per_minute": 7,
           "tokens_per_minute": 7}  # fmt: skip
    page = Page()
    view("models.list", {"items": [one]}, page)
    lines = page.text().splitlines()
    assert lines[1].startswith(f"{name}  needs")
    assert max(map(len, lines)) <= 60


@pytest.mark.slow
def test_names_of_wrong_files_are_not_broken(squad: Any, tmp_path: Any) -> None:
    (tmp_path / "in").mkdir()
    names = [f"in/order-of-the-second-of-march-{n}.edi" for n in "ab"]
    for name in names:
        (tmp_path / name).write_text(ORDER.replace("SE*5", "SE*6"))
    said = squad("edi", "check", *names).out.partition("errors\n")[2]
    for name in names:
        assert f"\n…{name[-23:]}  SE " in said
