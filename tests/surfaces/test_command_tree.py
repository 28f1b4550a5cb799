"""The tree of commands: complete, documented, with examples that parse, and
known without loading what carries it out."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from agentsquad.surfaces.cli.completion import SHELLS
from agentsquad.surfaces.cli.everywhere import Everywhere
from agentsquad.surfaces.cli.root import SECTIONS, Root
from agentsquad.surfaces.cli.tree import GROUPS, Tree

ROOT = Path(__file__).parents[2]
HEAVY = ("agentsquad.runtime", "agentsquad.solutions", "agentsquad.integrations", "rich", "yaml",
         "apsw", "httpx", "numpy", "cryptography", "regorus", "asyncio",
         "jsonschema_rs")  # fmt: skip


def tree(shipped: Any, carry: Any = None) -> Root:
    return Root(shipped, carry or (lambda op, value, everywhere: 0))


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Any:
    context = click.Context(command, info_name=" ".join(("squad", *path)))
    yield path, command, context
    if isinstance(command, Tree):
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from leaves(inner, (*path, word))


@pytest.mark.slow
def test_the_index_and_its_page_are_those_of_the_plugins() -> None:
    spec = importlib.util.spec_from_file_location(
        "command_index", ROOT / "tools" / "command_index.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.written().items():
        assert path.read_bytes() == text, f"{path.name} is stale: run tools/command_index.py"


def test_help_says_once_of_each_required_option_that_it_is(shipped: Any) -> None:
    for path, command, context in leaves(tree(shipped)):
        operation = getattr(command, "operation", None)
        if operation is None:
            continue
        needed = [f for f in operation.fields if f.required and not f.positional]
        said = command.get_help(context)
        assert said.count("[required]") == len(needed), path
        assert "(required)" not in said


def test_help_is_as_its_golden_files(
    shipped: Any, shop: Any, golden: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `squad --help` as it ships; further down commands that only tests change.
    monkeypatch.setenv("COLUMNS", "80")
    mine = [op for op in shop.operations() if op.action.startswith("shop.")]
    texts = []
    for words, operations in (((), shipped), (("paint",), mine), (("paint", "wall"), mine)):
        command: Any = tree(operations)
        context = click.Context(command, info_name="squad", max_content_width=80)
        for word in words:
            command = command.get_command(context, word)
            context = click.Context(command, info_name=word, parent=context, max_content_width=80)
        texts.append(f"$ {context.command_path} --help\n{command.get_help(context)}\n")
    golden("help", "\n".join(texts).replace("Version 0.1.0", "Version N"))


def test_every_command_has_a_section_a_summary_and_an_example(shipped: Any) -> None:
    root = tree(shipped)
    placed = {word for section in SECTIONS.values() for word in section}
    assert set(root.list_commands(click.Context(root))) <= placed
    groups = {path[-1] for path, command, _ in leaves(root) if path and isinstance(command, Tree)}
    assert groups <= set(GROUPS)
    for path, command, context in leaves(root):
        assert "Example" in command.get_help(context), path


def test_every_example_parses(shipped: Any) -> None:
    # An example is typed with its redirections and patterns left to the shell.
    count = 0
    for operation in shipped:
        for line in operation.examples or (operation.example,):
            words = shlex.split(line.partition(" > ")[0].partition(" | ")[0])
            assert words.pop(0) == "squad", line
            seen: list[tuple[str, dict]] = []
            root = tree(shipped, lambda op, value, _, seen=seen: seen.append((op.action, value)))
            root.main(words, standalone_mode=False)
            assert [action for action, _ in seen] == [operation.action], line
            count += 1
    assert count >= len(shipped)


def test_options_of_every_command_may_stand_before_or_after_its_words(shipped: Any) -> None:
    found: list[Everywhere] = []
    root = tree(shipped, lambda op, value, everywhere: found.append(everywhere))
    options = ["-o", "yaml", "--home", "here", "--as", "ada", "-q"]
    for words in (
        [*options, "runs", "list"],
        ["runs", *options, "list"],
        ["runs", "list", *options],
        ["-o", "json", "runs", "list", *options],
    ):
        root.main(words, standalone_mode=False)
    for one in found:
        assert (one.form, one.home, one.actor, one.quiet) == ("yaml", "here", "ada", True)


def test_o_names_a_file_where_one_is_written(shipped: Any) -> None:
    found: list[tuple[dict, str]] = []
    root = tree(shipped, lambda op, value, everywhere: found.append((value, everywhere.form)))
    for words in (
        ["prove", "3", "-o", "case.zip"],
        ["prove", "3", "-o", "case.zip", "-o", "json"],
        ["prove", "3", "--out", "case.zip", "-o", "json"],
        ["-o", "json", "prove", "3", "-o", "case.zip"],
    ):
        root.main(words, standalone_mode=False)
    assert [value["out"] for value, _ in found] == ["case.zip"] * 4
    assert [form for _, form in found] == ["table", "json", "json", "json"]


def test_a_word_that_is_a_command_may_lead_further(shipped: Any) -> None:
    found: list[str] = []
    root = tree(shipped, lambda op, value, everywhere: found.append(op.action))
    root.main(["demo", "--auto"], standalone_mode=False)
    root.main(["demo", "data", "--out", "orders"], standalone_mode=False)
    assert found == ["demo.run", "demo.data"]


def test_a_flag_that_is_on_can_be_turned_off(shipped: Any) -> None:
    found: list[dict] = []
    root = tree(shipped, lambda op, value, everywhere: found.append(value))
    root.main(["run", "x", "--no-wait"], standalone_mode=False)
    root.main(["run", "x"], standalone_mode=False)
    assert found == [{"workflow": "x", "wait": False}, {"workflow": "x"}]


@pytest.mark.slow
def test_where_the_index_is_stale_the_plugins_are_asked(squad: Any, shop: Any) -> None:
    current = shop._operations
    changed = next(op for op in current if op.action == "runs.list")
    shop._operations = [op for op in current if op.action not in ("runs.list", "cost.show")]
    try:
        assert squad("runs", "list").code == 0  # unknown to the index
        assert squad("cost").code == 0
        from msgspec.structs import replace

        shop._operations.append(replace(changed, fields=()))
        assert squad("runs", "list", "--limit", "1", "-o", "json").code == 0  # an option it lacks
        shop._operations[-1] = replace(changed, summary="Something else.")
        assert squad("runs", "list", "-o", "json").code == 0
    finally:
        shop._operations = current


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_script_is_printed(squad: Any, shell: str) -> None:
    said = squad("completion", shell, home=None)
    assert said.code == 0
    assert "_SQUAD_COMPLETE" in said.out
    assert "squad" in said.out


@pytest.mark.slow
@pytest.mark.e2e
def test_help_and_completion_load_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from agentsquad.assembly.main import Distribution\n"
        "from agentsquad.surfaces.cli.main import run_command_line\n"
        "try: run_command_line(Distribution(), {words})\n"
        "except SystemExit: pass\n"
        "heavy = {heavy}\n"
        "found = [m for m in sys.modules if any(m == h or m.startswith(h + '.') for h in heavy)]\n"
        "print('HEAVY', found)\n"
    )
    for words in (["--help"], ["runs", "show", "--help"]):
        out = subprocess.run(
            [sys.executable, "-c", program.format(words=words, heavy=HEAVY)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert "HEAVY []" in out


@pytest.mark.slow
@pytest.mark.e2e
def test_letters_the_terminal_lacks_break_nothing(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "agentsquad.assembly.main", "-o", "json", "runs", "“nöt”"],
        cwd=tmp_path, capture_output=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert said.returncode == 2
    assert said.stdout.isascii()
    assert "“nöt”" in msgspec.json.decode(said.stdout)["error"]["message"]


@pytest.mark.slow
@pytest.mark.e2e
def test_the_program_completes_words_and_keeps_its_store_to_its_owner(tmp_path: Path) -> None:
    def run(*words: str, **variables: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "agentsquad.assembly.main", *words],
            cwd=tmp_path, capture_output=True, text=True, check=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **variables},
        ).stdout  # fmt: skip

    words = {"_SQUAD_COMPLETE": "bash_complete", "COMP_WORDS": "squad runs s", "COMP_CWORD": "2"}
    assert run(**words).split() == ["plain,show", "plain,signal", "plain,skip"]
    assert run("halt", "--reason", "a test")
    store = tmp_path / ".squad"
    assert store.stat().st_mode & 0o777 == 0o700
    loose = [
        path.name
        for path in store.rglob("*")
        if path.stat().st_mode & 0o777 != (0o700 if path.is_dir() else 0o600)
    ]
    assert loose == []
