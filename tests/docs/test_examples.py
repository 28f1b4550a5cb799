"""Every example in the README and the documentation runs, and says what it
prints.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_spec = importlib.util.spec_from_file_location("docs_examples", HERE / "examples.py")
assert _spec and _spec.loader
examples = importlib.util.module_from_spec(_spec)
sys.modules["docs_examples"] = examples
_spec.loader.exec_module(examples)

# The address that pages name; the tests run them with one that is there.
DATABASE = "postgresql://squad@localhost/squad"
PAGES = [
    path
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    if any(block.language in examples.RUN for block in examples.blocks(path.read_text()))
]


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQUAD_HOME", str(tmp_path / ".squad"))
    text = page.read_text(encoding="utf-8")
    if f"SQUAD_STORE={DATABASE} " in text:
        text = text.replace(DATABASE, request.getfixturevalue("postgresql_url"))
    examples.run_page(text, tmp_path)


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
