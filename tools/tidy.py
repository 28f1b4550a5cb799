"""Checks what the linters do not: sizes, file names, traces of one machine,
change fragments.

Run by `make lint` over the files git knows (and new ones it does not ignore).
Exceptions are listed here with a reason; the list may only shrink.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "base", "manager", "core", "types"}
FRAGMENT = re.compile(r"^[a-z0-9][a-z0-9-]*\.(added|changed|fixed|removed|security)\.md$")

# path → reason. A file listed here may be longer than FILE_LINES_MAX.
LONG_FILES: dict[str, str] = {}
# "path:function" → reason. May be longer than FUNCTION_LINES_MAX or take more
# parameters.
_CALL = "the workflow API: each keyword is optional and independent of the others"
LARGE_FUNCTIONS: dict[str, str] = {
    "src/agentsquad/runtime/determinism/fork.py:Forker._note": "the fields of a Difference",
    "src/agentsquad/runtime/engine/contract.py:WorkflowContext.call": _CALL,
    "src/agentsquad/runtime/engine/contract.py:WorkflowContext.loop": _CALL,
    "src/agentsquad/runtime/engine/flow.py:Flow.loop": _CALL,
    "src/agentsquad/runtime/engine/contract.py:workflow": _CALL,
    "src/agentsquad/runtime/engine/flow.py:Flow.call": _CALL,
    "src/agentsquad/runtime/engine/listening.py:Inbound.approve": _CALL,
}

# Absolute paths of a desk, and hosts of package registries: neither belongs in
# the project. Written in pieces so that this file passes its own check.
TRACES = re.compile(
    "|".join(
        (
            r"(?<![\w.~$}/-])/(?:wor" + r"k|ho" + r"me|ro" + r"ot|Us" + r"ers)/[\w.-]+",
            r"(?:files\.python" + r"hosted|py" + r"pi|registry\.npm" + r"js)\.(?:org|com)",
        )
    )
)
TEXT_ENDINGS = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".sh",
    ".yaml",
    ".yml",
    ".json",
    ".cfg",
    ".ini",
    ".in",
}


def project_files(root: Path) -> list[Path]:
    """Return the files git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    names = sorted({name for name in listing.decode().split("\0") if name})
    return [root / name for name in names if (root / name).is_file()]


def functions(
    tree: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function with its dotted name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def check_sizes(name: str, text: str) -> Iterator[str]:
    """Report a Python file or function that has grown beyond what one reader
    holds.
    """
    lines = text.count("\n")
    if lines > FILE_LINES_MAX and name not in LONG_FILES:
        yield f"{name}: {lines} lines, at most {FILE_LINES_MAX}: split it by noun"
    for function, node in functions(ast.parse(text, name)):
        if f"{name}:{function}" in LARGE_FUNCTIONS:
            continue
        where = f"{name}:{node.lineno}: {function}()"
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES_MAX:
            yield f"{where} has {length} lines, at most {FUNCTION_LINES_MAX}"
        if not name.startswith("tests/"):
            count = parameters(node)
            if count > PARAMETERS_MAX:
                yield f"{where} takes {count} parameters, at most {PARAMETERS_MAX}: make a value"


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count what a caller may pass, without `self` and `cls`."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in arguments)


def check_name(path: Path, name: str) -> Iterator[str]:
    """Report a file or folder whose name says nothing about its content."""
    for part in (path.stem, *Path(name).parent.parts):
        if part in FORBIDDEN_NAMES and name.startswith(("src/", "tools/", "bench/")):
            yield f"{name}: {part!r} says nothing: name the file for the noun it defines"


def check_traces(name: str, text: str) -> Iterator[str]:
    """Report a machine's path or a registry's host in a text file."""
    for number, line in enumerate(text.splitlines(), 1):
        match = TRACES.search(line)
        if match:
            yield f"{name}:{number}: {match.group()!r} belongs to one machine, not to the project"


def check_fragment(name: str, text: str) -> Iterator[str]:
    """Report a note in `changes/` that is not `<slug>.<kind>.md` with a
    sentence in it.
    """
    file = name.removeprefix("changes/")
    if not FRAGMENT.match(file):
        yield f"{name}: name it <slug>.(added|changed|fixed|removed|security).md"
    body = text.strip()
    if not body.endswith((".", "!", "`")) or len(body) < 20:
        yield f"{name}: write one whole sentence for users"
    if body.startswith("#"):
        yield f"{name}: no heading: fragments are gathered into CHANGELOG.md"


def check_unique(names: list[str]) -> Iterator[str]:
    """Report test files of one name: imported by path, they would hide one
    another's results.
    """
    seen: dict[str, str] = {}
    for name in names:
        file = name.rpartition("/")[2]
        if name.startswith("tests/") and file.startswith("test_") and file.endswith(".py"):
            if file in seen:
                yield f"{name}: {seen[file]} has the same file name"
            seen[file] = name


def check(root: Path) -> list[str]:
    """Return every fault in the project, one line each."""
    faults: list[str] = []
    names: list[str] = []
    for path in project_files(root):
        name = path.relative_to(root).as_posix()
        names.append(name)
        faults += check_name(path, name)
        if path.suffix not in TEXT_ENDINGS and "." in path.name.lstrip("."):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path.suffix == ".py":
            faults += check_sizes(name, text)
        if not name.startswith("requirements/") or "://" in text:
            faults += check_traces(name, text)
        if name.startswith("changes/") and path.name != "README.md":
            faults += check_fragment(name, text)
    faults += check_unique(names)
    for listed in [*LONG_FILES, *(entry.partition(":")[0] for entry in LARGE_FUNCTIONS)]:
        if listed not in names:
            faults.append(f"tools/tidy.py: exception for {listed}, which is gone: remove it")
    return faults


def main() -> int:
    """Print the faults; exit 1 when there are any."""
    faults = check(Path(__file__).resolve().parents[1])
    for fault in faults:
        print(fault)
    print(f"tidy: {len(faults)} fault(s)" if faults else "tidy: nothing to mend")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
