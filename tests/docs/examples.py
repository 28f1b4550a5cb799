"""Reads the fenced examples of a Markdown page and runs them as a reader would.

One page is one conversation: its blocks share a folder, a store and a Python
namespace. What a comment right above a block may say:

    <!-- skip: REASON -->     not run; the reason is required
    <!-- exit: 2 -->          the last command of the block ends with this code
    <!-- file: orders.yaml --> the block is saved under this name instead
    <!-- capture: RUN=show (.*) -->  RUN stands, from here on, for what the
                              last command of the block printed there

In a `console` block, lines after `$ ` are commands and the others the expected
output: `…` stands for any text within a line, a line of `...` for any lines.
Agents answer by rule, so that a page says the same on every machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.program import Program, words_of

FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[\w-]*)\s*$")
COMMENT = re.compile(r"^<!-- (?P<key>skip|exit|file|capture): ?(?P<value>.*?) ?-->$")
RUN = ("console", "python")
SECONDS_MAX = 300


class ExampleError(AssertionError):
    """An example does not do what its page says."""


@dataclass
class Block:
    """One fenced block: its language, text, place and the comments above it."""

    language: str
    text: str
    line: int
    notes: dict[str, str] = field(default_factory=dict)


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    lines = page.splitlines()
    notes: dict[str, str] = {}
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        comment = COMMENT.match(line)
        fence = FENCE.match(line)
        index += 1
        if comment:
            notes[comment["key"]] = comment["value"]
        elif fence:
            start = index
            while index < len(lines) and lines[index].strip() != fence["fence"]:
                index += 1
            text = "\n".join(lines[start:index]) + "\n"
            yield Block(fence["language"], text, start, notes)
            notes = {}
            index += 1
        elif line:
            notes = {}


def pattern(expected: list[str]) -> re.Pattern[str]:
    """Return what the output of a command must match as a whole."""
    parts = []
    for line in expected:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line.rstrip()).replace("…", ".*") + r"[ \t]*\n")
    return re.compile("".join(parts))


def conversation(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with the lines expected after it."""
    command: str | None = None
    expected: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, expected
            command, expected = line[2:], []
        elif command is None:
            raise ExampleError(f"a console block begins with '$ ', not {line!r}")
        elif command.endswith("\\"):
            command = command[:-1] + line.removeprefix("> ").strip()
        else:
            expected.append(line)
    if command is not None:
        yield command, expected


def captured(note: str, output: str) -> tuple[str, str]:
    """Return the name of a `capture` comment and what it stands for."""
    name, _, shape = note.partition("=")
    found = re.search(shape, output)
    if not found:
        raise ExampleError(f"nothing like {shape!r} to be {name} in:\n{output}")
    return name, found[1]


def filled(text: str, words: dict[str, str]) -> str:
    """Return a text with the captured words in place of their names."""
    for name, value in words.items():
        text = re.sub(rf"\b{name}\b", lambda _, value=value: value, text)
    return text


def run_console(block: Block, folder: Path, words: dict[str, str], program: Program | None) -> None:
    """Run the commands of a block and compare what they print."""
    steps = list(conversation(filled(block.text, words)))
    environment = environment_of(folder)
    for number, (command, expected) in enumerate(steps, 1):
        code, printed = carried_out(command, folder, environment, program)
        wanted = int(block.notes.get("exit", "0")) if number == len(steps) else 0
        output = printed if printed.endswith("\n") or not printed else printed + "\n"
        if code != wanted:
            raise ExampleError(
                f"line {block.line}: `{command}` ended with {code}, not {wanted}:\n{output}"
            )
        if expected and not pattern(expected).fullmatch(output):
            raise ExampleError(
                f"line {block.line}: `{command}` printed\n{output}\nand not\n" + "\n".join(expected)
            )
        if number == len(steps) and "capture" in block.notes:
            name, value = captured(block.notes["capture"], output)
            words[name] = value


def environment_of(folder: Path) -> dict[str, str]:
    """Return the variables of the examples of a page."""
    binaries = str(Path(sys.executable).parent)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SQUAD_")},
        "PATH": binaries + os.pathsep + os.environ.get("PATH", ""),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "SQUAD_HOME": str(folder / ".squad"),
        "SQUAD_MODELS": "off",
    }


def carried_out(
    command: str, folder: Path, environment: dict[str, str], program: Program | None
) -> tuple[int, str]:
    """Return the code and output of a command: by the loaded program, if there
    is one and no shell is needed, else by bash."""
    plain = words_of(command) if program else None
    if program and plain:
        return program.run(plain[1], folder, {**environment, **plain[0]})
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    # A command ended by a signal, as a shell tells it: 128 and the signal.
    code = result.returncode if result.returncode >= 0 else 128 - result.returncode
    return code, result.stdout


def run_page(page: str, folder: Path, program: Program | None = None) -> list[str]:
    """Run a page's examples; return what was skipped, each with its reason."""
    skipped = []
    names: dict[str, object] = {"__name__": "example"}
    words: dict[str, str] = {}
    for block in blocks(page):
        if "skip" in block.notes:
            if len(block.notes["skip"]) < 10:
                raise ExampleError(f"line {block.line}: say why this example is not run")
            skipped.append(f"line {block.line}: {block.notes['skip']}")
        elif "file" in block.notes:
            path = folder / block.notes["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            run_console(block, folder, words, program)
        elif block.language == "python":
            exec(compile(block.text, f"example at line {block.line}", "exec"), names)
    return skipped
