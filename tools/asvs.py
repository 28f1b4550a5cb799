"""Writes docs/reference/asvs.md: what OWASP ASVS asks for, and how each of it
is met here.

What is known stands in asvs.toml beside the page. A requirement without a line,
a verdict without what it needs, a test or file that is not there is a fault:
the page promises that each can be looked at. `--check` writes nothing and fails
when the page is not current.
"""

from __future__ import annotations

import ast
import functools
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "docs" / "reference" / "asvs.toml"
PAGE = SOURCE.with_suffix(".md")
HEAD = "<!-- Written by tools/asvs.py (`make docs`); change asvs.toml, not this page. -->"
# What a verdict must say, and what it may say besides.
NEEDS = {
    "tested": ("tests",),
    "by design": ("file", "why"),
    "not offered": ("why",),
    "open": ("missing",),
}
MAY = {"tested": ("why", "setting")}
LEVELS = ("1", "2")
INTRO = """\
Every requirement of levels 1 and 2 of [{name}]({source}), in our words and as strictly as we
can read it. **Tested** names the tests that fail when it no longer holds; **by design**, where to
look and why nothing more is needed; **not offered**, what is not there to go wrong; **open**, what
is missing. Of what is tested, {settings} hold only with a setting that is named. Nobody else has
checked this list. Level 3 is not on it.
"""


def ids_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the level of every requirement that the standard has."""
    standard = found["standard"]
    return {one: level for level in LEVELS for one in standard[f"level_{level}"].split()}


@functools.cache
def functions_in(path: Path) -> frozenset[str]:
    """Return the names of the functions of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def faults_of(found: Mapping[str, Any], root: Path = ROOT) -> list[str]:
    """Return everything that keeps the list from being what it says."""
    levels, told = ids_of(found), found["requirements"]
    faults = [f"{one} has no line" for one in levels if one not in told]
    faults += [f"{one} is not in the standard" for one in told if one not in levels]
    for one, line in told.items():
        verdict = line.get("verdict", "")
        if verdict not in NEEDS:
            faults.append(f"{one}: {verdict!r} is no verdict")
            continue
        needed = ("asks", "verdict", *NEEDS[verdict])
        allowed = (*needed, *MAY.get(verdict, ()))
        faults += [f"{one}: {name} is missing" for name in needed if not line.get(name)]
        faults += [f"{one}: {name} does not belong to {verdict}"
                   for name in line if name not in allowed]  # fmt: skip
        faults += [f"{one}: {fault}" for fault in _absent(line, root)]
    return faults


def _absent(line: Mapping[str, Any], root: Path) -> list[str]:
    faults = []
    if "file" in line and not (root / line["file"]).is_file():
        faults.append(f"{line['file']} is not there")
    for test in line.get("tests", ()):
        path, _, name = test.partition("::")
        if not path.startswith("tests/") or not name.startswith("test_"):
            faults.append(f"{test} is no test")
        elif not (root / path).is_file():
            faults.append(f"{path} is not there")
        elif name not in functions_in(root / path):
            faults.append(f"{name} is not in {path}")
    return faults


def page(found: Mapping[str, Any]) -> str:
    """Return the page."""
    told, standard, levels = found["requirements"], found["standard"], ids_of(found)
    settings = sum("setting" in line for line in told.values())
    text = f"# OWASP ASVS 5.0, levels 1 and 2\n\n{HEAD}\n\n"
    text += INTRO.format(name=standard["name"], source=standard["source"], settings=settings)
    text += "\n" + _summary(found)
    for chapter, title in found["chapters"].items():
        rows = "".join(
            f"| {one} | {levels[one]} | {_cell(line['asks'])} "
            f"| {_verdict(line)} | {_proof(line)} |\n"
            for one, line in told.items()
            if one.partition(".")[0] == chapter
        )
        text += f"\n## V{chapter} {title}\n\n| | level | asks | | test, place or reason |\n"
        text += f"|---|---|---|---|---|\n{rows}"
    return text


def _summary(found: Mapping[str, Any]) -> str:
    told = found["requirements"]
    lines = ["| chapter | " + " | ".join(NEEDS) + " | |", "|---|" + "--:|" * (len(NEEDS) + 1)]
    total: Counter[str] = Counter()
    for chapter, title in found["chapters"].items():
        counted = Counter(
            line["verdict"] for one, line in told.items() if one.partition(".")[0] == chapter
        )
        total += counted
        lines.append(_counts(f"V{chapter} {title}", counted))
    lines.append(_counts("**all**", total))
    return "\n".join(lines) + "\n"


def _counts(title: str, counted: Counter[str]) -> str:
    numbers = [str(counted[verdict] or "") for verdict in NEEDS]
    return f"| {title} | " + " | ".join(numbers) + f" | {counted.total()} |"


def _verdict(line: Mapping[str, Any]) -> str:
    verdict = str(line["verdict"])
    return f"**{verdict}**" if verdict == "open" else verdict


def _proof(line: Mapping[str, Any]) -> str:
    parts = [f"`{test}`" for test in line.get("tests", ())]
    parts += [f"`{line['file']}`"] if "file" in line else []
    parts += [f"with {line['setting']}"] if "setting" in line else []
    parts += [line[name] for name in ("why", "missing") if name in line]
    return _cell("; ".join(parts))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` only compare it."""
    found = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    faults = faults_of(found)
    if not faults:
        text = page(found)
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else None
        if "--check" in arguments and current != text:
            faults.append(f"{PAGE.relative_to(ROOT)} is not current: run make docs")
        elif "--check" not in arguments and current != text:
            PAGE.write_text(text, encoding="utf-8")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
