"""Writes what the command line knows without loading anything: the index of
operations beside assembly's catalogue, and its page in the reference.

Both come from the plugins themselves; `--check` writes nothing and fails when
either is not current. tests/surfaces does the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agentsquad.assembly.catalogue import INDEX, plugins
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.cli.page import page
from agentsquad.surfaces.gateway.operation import dump, operations

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"


def written() -> dict[Path, bytes]:
    """Return both files as they should be."""
    found = operations(Registry(plugins()))
    return {INDEX: dump(found), PAGE: page(found).encode()}


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` only compare them."""
    stale = 0
    for path, text in written().items():
        if path.exists() and path.read_bytes() == text:
            continue
        if "--check" in arguments:
            print(f"{path.name} is not current: run tools/command_index.py")
            stale = 1
        else:
            path.write_bytes(text)
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
