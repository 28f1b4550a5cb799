"""What goes wrong at the command line: said once, with a way out, and an exit
code from the one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsquad.runtime.resilience.admission import Admission

WRONG = {
    "an unknown command": (("rnus",), 2, "cli.usage", "did you mean: squad runs"),
    "an unknown command inside a group": (("runs", "shw"), 2, "cli.usage", "squad runs show"),
    "the last word of a command alone": (("checkpoint",), 2, "cli.usage", "squad log checkpoint"),
    "an unknown option": (("runs", "list", "--limt", "3"), 2, "cli.usage", "--limit"),
    "an option without its value": (("runs", "list", "--limit"), 2, "cli.usage", "argument"),
    "a number that is none": (("runs", "list", "--limit", "x"), 2, "cli.usage", "integer"),
    "a missing argument": (("runs", "show"), 2, "cli.usage", "squad runs show needs RUN"),
    "a missing option": (("approve", "x"), 2, "cli.usage", "squad approve needs --reason"),
    "a form that is none": (("runs", "list", "-o", "xml"), 2, "cli.usage", "'yaml'"),
    "one argument too many": (("runs", "show", "a", "b"), 2, "cli.usage", "unexpected"),
    "nowhere to write to": (("prove", "3"), 2, "cli.usage", "squad prove needs -o"),
    "an actor that is none": (("--as", "elf:x", "runs", "list"), 2, "actor.invalid", "person"),
    "an unknown run": (("runs", "show", "nope"), 5, "run.missing", "squad runs list"),
    "an unknown workflow": (("run", "ordr"), 5, "workflow.missing", "did you mean 'order'"),
    "input that is not JSON": (("run", "order", "--input", "{bad"), 2, "input.json", "JSON"),
    "a file that is not there": (("edi", "check", "no.edi"), 5, "edi.file", "no.edi"),
    "a file to show that is no X12": (("edi", "show", "x12.txt"), 2, "x12.read", "ISA"),
    "a manifest that is not there": (("apply", "-f", "no.yaml"), 5, "manifest.missing", "no.yaml"),
    "an unknown kind": (("get", "agnt"), 5, "kind.missing", "agent"),
}


@pytest.fixture(autouse=True)
def rubbish(tmp_path: Path) -> None:
    (tmp_path / "x12.txt").write_text("rubbish")


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_answered_with_a_code_and_a_way_out(squad: Any, name: str) -> None:
    words, code, dotted, told = WRONG[name]
    said = squad(*words)
    assert said.code == code
    assert said.out == ""
    assert f"[{dotted}]" in said.err
    assert told in said.err
    assert "Traceback" not in said.err


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_programs_get_the_same_mistake_as_json(squad: Any, name: str) -> None:
    words, code, dotted, _ = WRONG[name]
    if "-o" in words:
        return
    said = squad("-o", "json", *words)
    assert said.code == code
    assert said.json()["error"]["code"] == dotted
    assert said.json()["error"]["message"]
    assert said.err.startswith("error: ")


@pytest.mark.slow
def test_a_manifest_with_mistakes_names_each_place_once(squad: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "apiVersion: agentsquad.dev/v1\nkind: Agent\nmetadata: {name: x}\n"
        "spec:\n  typ: worker\n  instructions: 7\n"
    )
    said = squad("apply", "-f", "bad.yaml")
    assert said.code == 2
    for place in ("bad.yaml:5", "bad.yaml:6"):
        assert said.err.count(place) == 1
    assert "type" in said.err
    errors = squad("apply", "-f", "bad.yaml", "-o", "json").json()["error"]["details"]["errors"]
    assert {error["line"] for error in errors} >= {5, 6}


@pytest.mark.slow
def test_who_may_not_approve_is_told_why(squad: Any) -> None:
    item = squad("inbox", "-o", "json").json()["items"][0]["id"]
    said = squad("approve", item, "--reason", "looks fine", "--as", "bruno")
    assert said.code == 4
    assert "person:bruno" in said.err
    assert squad("approve", item, "--reason", "fine", "--as", "agent:drafter").code == 4
    assert squad("inbox", "-o", "json").json()["items"][0]["id"] == item
    said = squad("approve", item, "--reason", "looks fine", "--as", "ada")
    assert (said.code, said.out) == (0, f"approved {item} as person:ada\n")


@pytest.mark.slow
def test_a_bug_is_said_plainly_and_shows_its_place_only_when_asked(squad: Any, shop: Any) -> None:
    said = squad("crash", "--n", "1")
    assert said.code == 12
    assert "ZeroDivisionError: of all things" in said.err
    assert "SQUAD_DEBUG=1" in said.err
    assert "Traceback" not in said.err
    assert squad("crash", "--n", "1", "-o", "json").json()["error"]["hint"].startswith("please")
    shop.debug = True
    try:
        assert "Traceback" in squad("crash", "--n", "1").err
    finally:
        shop.debug = False


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(squad: Any) -> None:
    said = squad("stop", "--n", "1")
    assert said.code == 130
    assert "squad resume" in said.err


@pytest.mark.slow
def test_the_exit_code_of_a_run_is_that_of_its_error(squad: Any) -> None:
    said = squad("run", "order", "--input", '{"lines": [-1]}', "-o", "json")
    assert said.json()["status"] == "failed"
    assert said.json()["error"]["class"] == "MissingError"
    assert said.code == 5
    assert squad("runs", "show", said.json()["run"]).code == 0


@pytest.mark.slow
def test_an_invalid_file_is_two_and_says_where(squad: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.edi").write_text("this is not X12")
    said = squad("edi", "check", "bad.edi", "-o", "json")
    assert said.code == 2
    assert said.json()["valid"] is False
    assert said.json()["errors"][0]["code"]
    assert squad("edi", "check", "bad.edi").out.startswith("invalid: 1 error in 0 interchanges")


@pytest.mark.slow
def test_progress_is_only_for_somebody_who_watches(squad: Any) -> None:
    for words in ((), ("--quiet",), ("-o", "json")):
        assert squad("work", "--n", "3", *words).err == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("runs", "show", "k"), ("log", "verify"), ("log", "show"), ("rebuild", "--check")]
)
def test_reading_where_no_store_is_makes_none(
    squad: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = squad(*words, home=str(tmp_path / "typo"))
    assert (said.code, said.out) == (5, "")
    assert "[store.missing]" in said.err
    assert str(tmp_path / "typo") in said.err
    assert "squad demo" in said.err
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_an_input_that_does_not_fit_is_told_in_the_words_of_the_command_line(
    squad: Any,
) -> None:
    said = squad("models", "ask", "x", "hi", "--max-tokens", "0")
    assert (said.code, said.err.splitlines()[0]) == (
        2, "error: --max-tokens: Expected `int` >= 1  [action.input]",
    )  # fmt: skip
    said = squad("run", "purchase-to-pay", "--input", '{"folder": 3}')
    assert said.code == 2
    assert said.err.startswith("error: purchase-to-pay does not take this input: Expected `str`")
    assert "in folder  [action.input]" in said.err


def test_help_is_a_word_too(squad: Any) -> None:
    assert squad("help").out == squad("--help").out
    assert squad("help", "runs", "list").out == squad("runs", "list", "--help").out
    assert "did you mean: squad runs" in squad("help", "rnus").err


@pytest.mark.slow
@pytest.mark.parametrize("words", [("runs", "list"), ("inbox",), ("cost",), ("budget", "show")])
def test_a_list_where_no_store_is_is_empty_and_makes_none(
    squad: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    home = str(tmp_path / "typo")
    said = squad(*words, "-o", "json", home=home)
    assert (said.code, said.json()["items"]) == (0, [])
    said = squad(*words, home=home)
    assert (said.code, said.out[:3]) == (0, "no ")
    assert (f"no store in {home} yet" in said.err) == (words[0] in ("runs", "inbox"))
    assert squad(*words, "-q", home=home).err == ""
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("deploy", "nofile.py"), "deploy.file"),
        (("deploy", "--rollback", "orders"), "store.missing"),
        (("run", "nothing"), "workflow.missing"),
        (("runs", "retry", "abc", "1", "--reason", "x"), "store.missing"),
        (("export-test", "abc"), "store.missing"),
        (("resume",), "store.missing"),
        (("transactions", "recover"), "store.missing"),
        (("apply", "-f", "nofile.yaml"), "manifest.missing"),
    ],
)
def test_what_fails_where_no_store_is_makes_none(
    squad: Any, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    said = squad(*words, home=str(tmp_path / "typo"))
    assert said.code != 0
    assert f"[{code}]" in said.err
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_testing_models_where_no_store_is_makes_none(squad: Any, tmp_path: Path) -> None:
    said = squad("models", "test", "--offline", home=str(tmp_path / "typo"))
    assert said.code == 0, said.err
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", [("get", "agents"), ("models", "list"), ("explain", "Agent")])
def test_what_ships_is_shown_without_a_store(
    squad: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = squad(*words, home=str(tmp_path / "typo"))
    assert (said.code, said.err) == (0, "")
    assert len(said.out.splitlines()) > 1
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_an_engine_that_has_too_much_to_do_says_when_to_come_again(
    squad: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No single command makes a storm, so the place for it is taken away."""
    monkeypatch.setattr(Admission, "_room", lambda self: False)
    monkeypatch.setattr(Admission, "_longest", lambda self: 0)
    before = squad("-o", "json", "runs", "list").json()

    said = squad("-o", "json", "run", "order", "--input", "{}")

    assert said.code == 7
    error = said.json()["error"]
    assert error["code"] == "engine.overloaded"
    assert error["retry_after_ms"] > 0
    assert "squad engine status" in error["hint"]
    assert squad("-o", "json", "runs", "list").json() == before


@pytest.mark.slow
def test_the_load_of_an_engine_is_shown_when_there_is_one(squad: Any) -> None:
    said = squad("engine", "status")

    assert said.code == 0
    assert "no engine drives the runs of this store now" in said.out
    assert squad("-o", "json", "engine", "status").json()["running"] is False
