"""The options every command has, before its words or after them.

They are parsed at every level of the tree; the one nearest to the command wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

FORMS = ("table", "json", "yaml")


class Everywhere:
    """What was asked of every command: `form`, `home`, `namespace`, `actor`,
    `quiet`."""

    def __init__(self) -> None:
        self.form = "table"
        self.home: str | None = None
        self.namespace: str | None = None
        self.actor: str | None = None
        self.quiet = False


def asked() -> Everywhere:
    """Return the options of the command line being carried out."""
    found: Everywhere = click.get_current_context().find_root().ensure_object(Everywhere)
    return found


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep what was given; click calls this at each level, outermost first."""
    if value is not None and parameter.name is not None:
        setattr(context.find_root().ensure_object(Everywhere), parameter.name, value)


def options(*, out: bool = False) -> list[click.Parameter]:
    """Return the options; with `out`, -o may name a file as well as a form."""
    if out:
        form: click.Parameter = click.Option(
            ["-o", "--output", "given_output"],
            multiple=True,
            metavar="FILE|FORM",
            help="The file to write; or table, json or yaml.",
            callback=_form_or_file,
            expose_value=False,
        )
    else:
        form = click.Option(
            ["-o", "--output", "form"],
            type=click.Choice(FORMS),
            help="How to print: a table for people, json or yaml for programs.",
            callback=_keep,
            expose_value=False,
        )
    return [
        form,
        _option("--home", "home", metavar="DIR", help="Where the store is kept [.squad]."),
        _option("-n", "--namespace", "namespace", metavar="NS", help="Which namespace [default]."),
        _option("--as", "actor", metavar="ACTOR", help="Who asks, e.g. ada or service:nightly."),
        _option("-q", "--quiet", is_flag=True, default=None, help="No progress."),
    ]


def _option(*names: str, **settings: Any) -> click.Option:
    return click.Option(list(names), callback=_keep, expose_value=False, **settings)


def _form_or_file(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> None:
    everywhere = context.find_root().ensure_object(Everywhere)
    for one in value:
        if one in FORMS:
            everywhere.form = one
        else:
            context.meta["out"] = one


def is_everywhere(parameter: click.Parameter) -> bool:
    """Whether a parameter is one of these."""
    return parameter.callback in (_keep, _form_or_file)


def form_in(arguments: Sequence[str]) -> str:
    """Return the form a command line asks for, though it may not parse."""
    form = "table"
    for index, word in enumerate(arguments):
        if word == "--":
            break
        if word in ("-o", "--output"):
            given = arguments[index + 1] if index + 1 < len(arguments) else ""
        elif word.startswith("--output="):
            given = word.removeprefix("--output=")
        elif word.startswith("-o") and not word.startswith("--"):
            given = word[2:]
        else:
            continue
        form = given if given in FORMS else form
    return form
