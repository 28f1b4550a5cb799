"""`squad version`: which program this is."""

from __future__ import annotations

import platform
from typing import Any

import click

from agentsquad import __version__
from agentsquad.surfaces.cli import everywhere
from agentsquad.surfaces.cli.machine import written


def show_version(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Print one line and end."""
    if value:
        click.echo(f"squad {__version__}")
        context.exit(0)


def _print() -> int:
    found = {"version": __version__, "python": platform.python_version()}
    form = everywhere.asked().form
    if form == "table":
        click.echo(f"squad {__version__} on Python {found['python']}")
    else:
        click.echo(written(found, form), nl=False)
    return 0


version = click.Command(
    "version",
    callback=_print,
    params=everywhere.options(),
    help="Print the version of squad and of Python.",
    short_help="Print the version.",
    epilog="\b\nExample:\n  squad version",
)
