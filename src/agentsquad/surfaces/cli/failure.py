"""Errors as a person reads them, and as a program does.

For programs `{"error": …}` on standard output; for people a message, what is
wrong where, and a hint, on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.kernel.visible import visible
from agentsquad.surfaces.cli.machine import written

PROBLEMS_MAX = 20
BUG_HINT = "please report it; SQUAD_DEBUG=1 shows where it happened"


def show(error: SquadError, form: str) -> None:
    """Print an error."""
    body = {"error": error.to_dict()}
    if form != "table":
        sys.stdout.write(written(body, form))
    print(visible(text(error)), file=sys.stderr)  # noqa: T201


def text(error: SquadError) -> str:
    """Return an error for people; problems in detail replace the message that
    counts or repeats them."""
    problems = [one for one in error.details.get("errors", ()) if isinstance(one, Mapping)]
    lines = [f"error: {headline(error.message, problems)}  [{error.code}]"]
    for one in problems[:PROBLEMS_MAX]:
        lines.append("  " + problem(one))
    if len(problems) > PROBLEMS_MAX:
        lines.append(f"  … and {len(problems) - PROBLEMS_MAX} more; -o json has them all")
    if error.hint and error.hint not in [one.get("fix") for one in problems]:
        lines.append(f"hint: {error.hint}")
    return "\n".join(lines)


def headline(message: str, problems: Sequence[Mapping[str, Any]]) -> str:
    """Return what a message says first, but not what the problems below it say
    again."""
    first = message.split("\n", 1)[0].rstrip(":") if "\n" in message else message
    said = problems[0] if problems else {}
    place = f"{said.get('file')}:{said.get('line')}"
    path = str(said.get("path") or "")
    if (path and path in first) or (not path and first.startswith(place)):
        return "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    return first


def problem(item: Mapping[str, Any]) -> str:
    """Return one problem on one line: place, path, what was expected, what was
    found, how to fix it."""
    place = ":".join(str(item[key]) for key in ("file", "line") if item.get(key) is not None)
    path = str(item.get("path") or "")
    parts = [f"{place} {path}".strip()]
    if item.get("message"):
        parts.append(str(item["message"]))
    if item.get("expected"):
        parts.append(f"expected {item['expected']}")
    if item.get("found") is not None:
        parts.append(f"found {item['found']}")
    fix = str(item.get("fix") or "")
    if fix and str(item.get("expected") or "?") not in fix:
        parts.append(fix)
    return " — ".join(part for part in parts if part)


def usage(error: click.ClickException) -> SquadError:
    """Return a mistake on the command line as one of our errors."""
    message = error.format_message().strip()
    hint = getattr(error, "hint", None) or _example(error)
    if isinstance(error, click.NoSuchOption):
        message = f"{_path(error)} has no option {error.option_name}"
        near = list(error.possibilities or ())
        hint = f"did you mean {near[0]}?" if near else hint
    elif isinstance(error, click.MissingParameter) and error.param is not None:
        message = f"{_path(error)} needs {_spelling(error.param)}"
    return InvalidError(
        message[:1].lower() + message[1:].removesuffix("."),
        code="cli.usage",
        hint=hint or f"{_path(error)} --help",
    )


def _example(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    operation = getattr(context.command, "operation", None) if context is not None else None
    return f"e.g. {operation.example}" if operation is not None else None


def _spelling(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return (parameter.metavar or parameter.name or "").rstrip("…")
    return parameter.opts[-1]


def _path(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "squad"
