"""Rendering: outputs as tables that fit the terminal, as JSON or as YAML.

JSON goes to standard output and nothing else does; progress and errors for
people go to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel.errors import SquadError


def show(action: str, result: Any, form: str) -> None:
    """Print an output."""
    plain = msgspec.to_builtins(result, str_keys=True)
    if form == "json":
        print(json.dumps(plain, ensure_ascii=False, indent=2))  # noqa: T201
        return
    if form == "yaml":
        import yaml

        print(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), end="")  # noqa: T201
        return
    from agentsquad.surfaces.cli.views import view

    view(action, result, plain, console())


def console(*, stderr: bool = False) -> Any:
    """Return a rich console; colour only on a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() else 100
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=wide)


def failure(error: SquadError, form: str) -> None:
    """Print an error: for programs on standard output, for people on standard
    error."""
    if form == "json":
        print(json.dumps({"error": error.to_dict()}, ensure_ascii=False, indent=2))  # noqa: T201
    lines = [f"error: {error.message}  [{error.code}]"]
    for item in error.details.get("errors", ())[:20]:
        if isinstance(item, Mapping):
            lines.append("  " + _problem(item))
    if error.hint:
        lines.append(f"hint: {error.hint}")
    print("\n".join(lines), file=sys.stderr)  # noqa: T201


def _problem(item: Mapping[str, Any]) -> str:
    place = ":".join(str(item[k]) for k in ("file", "line") if item.get(k) is not None)
    rest = [str(item[k]) for k in ("path", "message", "expected", "found", "fix") if item.get(k)]
    return " — ".join([place, *rest]) if place else " — ".join(rest)


class Screen:
    """What a watching person sees while an action works: one line,
    rewritten."""

    def __init__(self, form: str) -> None:
        self._live = sys.stderr.isatty()
        self._form = form
        self._width = 0

    def progress(self, text: str, done: int | None, total: int | None) -> None:
        """Tell how far it is."""
        if not self._live:
            return
        line = text if total is None else f"{text} [{done or 0}/{total}]"
        line = line[:100]
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def ports(self) -> dict[Any, Any]:
        """Return the ports a terminal provides."""
        return {}

    def close(self) -> None:
        """Clear the line."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
