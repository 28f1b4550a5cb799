"""Every example in the README and the documentation runs, and says what it
prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs import examples
from tests.docs.program import Program, words_of

ROOT = Path(__file__).parents[2]
# The address that pages name; the tests run them with one that is there.
DATABASE = "postgresql://squad@localhost/squad"
# What everybody reads first: each command in a process of its own, as there.
FRESH = ("README.md", "docs/tutorial/first-minute.md")
PAGES = [
    path
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    if any(block.language in examples.RUN for block in examples.blocks(path.read_text()))
]


@pytest.fixture(scope="session")
def program() -> Iterator[Program]:
    """The program, loaded once for all pages."""
    made = Program()
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_of_a_page_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    program: Program,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQUAD_HOME", str(tmp_path / ".squad"))
    text = page.read_text(encoding="utf-8")
    if f"SQUAD_STORE={DATABASE} " in text:
        text = text.replace(DATABASE, request.getfixturevalue("postgresql_url"))
    fresh = page.relative_to(ROOT).as_posix() in FRESH
    examples.run_page(text, tmp_path, None if fresh else program)


def console(*lines: str, note: str = "") -> str:
    return "\n".join(["Text.", "", note, "```console", *lines, "```", ""])


def test_output_is_compared_with_what_the_page_says(tmp_path: Path) -> None:
    page = console("$ printf 'one\\ntwo 22 cents\\nthree\\nfour\\n'", "one", "two … cents", "...")
    assert examples.run_page(page, tmp_path) == []
    with pytest.raises(examples.ExampleError, match="printed"):
        examples.run_page(console("$ echo one", "two"), tmp_path)
    with pytest.raises(examples.ExampleError, match="printed"):
        examples.run_page(console("$ printf 'one\\ntwo\\n'", "one"), tmp_path)


def test_a_command_that_fails_breaks_the_page_unless_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(examples.ExampleError, match="ended with 3, not 0"):
        examples.run_page(console("$ exit 3"), tmp_path)
    assert examples.run_page(console("$ exit 3", note="<!-- exit: 3 -->"), tmp_path) == []
    with pytest.raises(examples.ExampleError, match="ended with 0, not 3"):
        examples.run_page(console("$ true", note="<!-- exit: 3 -->"), tmp_path)


def test_only_a_reason_skips_an_example(tmp_path: Path) -> None:
    page = console("$ exit 3", note="<!-- skip: needs a printer at hand -->")
    assert examples.run_page(page, tmp_path) == ["line 4: needs a printer at hand"]
    with pytest.raises(examples.ExampleError, match="say why"):
        examples.run_page(console("$ true", note="<!-- skip: -->"), tmp_path)


def test_blocks_of_a_page_share_files_and_names(tmp_path: Path) -> None:
    page = "<!-- file: a/order.txt -->\n```text\n850\n```\n" + console("$ cat a/order.txt", "850")
    page += "```python\nx = 20\n```\n```python\nassert x == 21, x\n```\n"
    with pytest.raises(AssertionError, match="20"):
        examples.run_page(page, tmp_path)


def test_a_console_block_that_is_no_conversation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(examples.ExampleError, match="begins with"):
        examples.run_page(console("squad demo"), tmp_path)


def test_a_page_sees_a_store_of_its_own(tmp_path: Path) -> None:
    page = console("$ echo $SQUAD_HOME", f"{tmp_path}/.squad")
    assert examples.run_page(page, tmp_path) == []


def test_what_a_command_printed_can_be_used_by_the_next(tmp_path: Path) -> None:
    page = console("$ echo see run k4uf", note="<!-- capture: RUN=run ([a-z0-9]+) -->")
    page += console("$ echo RUN RUNS", "k4uf RUNS")
    assert examples.run_page(page, tmp_path) == []
    with pytest.raises(examples.ExampleError, match="nothing like"):
        examples.run_page(
            console("$ echo no", note="<!-- capture: RUN=run ([a-z0-9]+) -->"), tmp_path
        )


def test_agents_answer_by_rule_in_examples(tmp_path: Path) -> None:
    assert examples.run_page(console("$ echo $SQUAD_MODELS", "off"), tmp_path) == []


@pytest.mark.parametrize(
    "command",
    [
        "squad --version",
        "squad runs list",
        "SQUAD_HOME=none squad runs list -o json",
        "squad nothing",
        "squad runs show 'a b'",
    ],
)
def test_the_loaded_program_does_as_one_that_starts(
    command: str, tmp_path: Path, program: Program
) -> None:
    """The same words on both streams and the same code, in this folder."""
    told = [
        examples.carried_out(command, tmp_path, examples.environment_of(tmp_path), one)
        for one in (None, program)
    ]
    assert told[0] == told[1]
    assert told[0][1]


@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("squad runs show 'a b'", ({}, ["squad", "runs", "show", "a b"])),
        ("A=1 squad inbox", ({"A": "1"}, ["squad", "inbox"])),
        *((text, None) for text in ("squad up", "squad inbox > a", "squad a; b", "squad $(x)")),
        *((text, None) for text in ("echo squad", "squad proxy -- x", "squad a & b", "A=1", "")),
    ],
)
def test_only_plain_commands_are_taken_from_the_shell(command: str, read: object) -> None:
    assert words_of(command) == read
