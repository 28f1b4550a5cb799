"""`squad version`: which program this is."""

from __future__ import annotations

import json
import platform
from typing import Any

import click

from agentsquad import __version__
from agentsquad.surfaces.cli import everywhere


def show_version(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Print one line and end."""
    if value:
        click.echo(f"squad {__version__}")
        context.exit(0)


def _print() -> int:
    found = {"version": __version__, "python": platform.python_version()}
    form = everywhere.asked().form
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    elif form == "yaml":
        click.echo("".join(f"{name}: {value}\n" for name, value in found.items()), nl=False)
    else:
        click.echo(f"squad {__version__} on Python {found['python']}")
    return 0


version = click.Command(
    "version",
    callback=_print,
    params=everywhere.options(),
    help="Print the version of squad and of Python.",
    short_help="Print the version.",
    epilog="\b\nExample:\n  squad version",
)
