"""Operations as commands: fields become arguments and options, what was typed
becomes an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.cli import everywhere
from agentsquad.surfaces.gateway.operation import Field, Operation

Carry = Callable[[Operation, dict[str, Any], everywhere.Everywhere], int]
SHORT = {"files": "-f", "file": "-f"}
KINDS: Mapping[str, Any] = {"integer": click.INT, "number": click.FLOAT}
OUT = "out"


class Leaf(click.Command):
    """One operation as a command."""

    def __init__(self, operation: Operation, carry: Carry) -> None:
        out = any(field.name == OUT for field in operation.fields)
        super().__init__(
            operation.path[-1],
            params=[*map(parameter, operation.fields), *everywhere.options(out=out)],
            callback=self.carry_out,
            help=prose(operation),
            short_help=operation.summary,
        )
        self.operation = operation
        self.carry = carry

    def carry_out(self, **given: Any) -> int:
        """Read what was typed and carry the operation out."""
        if OUT in given and given[OUT] is None:
            given[OUT] = click.get_current_context().meta.get(OUT)
        return self.carry(self.operation, read_input(self.operation, given), everywhere.asked())

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a command's own options first, then those of every command."""
        format_options(self, context, formatter)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples that can be typed."""
        format_examples(self.operation, formatter)


def prose(operation: Operation) -> str:
    """Return what help says about an operation."""
    parts = [operation.summary, operation.description]
    return "\n\n".join(part for part in parts if part)


def format_options(
    command: click.Command, context: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write arguments, the command's own options, and those of every
    command."""
    lists: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Every command": []}
    for param in command.get_params(context):
        field = getattr(param, "field", None)
        if field is not None:
            lists["Arguments"].append((param.make_metavar(context), field.description))
            continue
        record = param.get_help_record(context)
        if record is not None:
            shared = everywhere.is_everywhere(param) or "--help" in param.opts
            lists["Every command" if shared else "Options"].append(record)
    for title, records in lists.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def format_examples(operation: Operation, formatter: click.HelpFormatter) -> None:
    """Write an operation's examples as they are typed."""
    examples = operation.examples or (operation.example,)
    with formatter.section("Example" if len(examples) == 1 else "Examples"):
        for line in examples:
            formatter.write(" " * formatter.current_indent + line + "\n")


def parameter(field: Field) -> click.Parameter:
    """Return a field as an argument or option."""
    kind = click.Choice(field.choices) if field.choices else KINDS.get(field.kind, click.STRING)
    if field.positional:
        argument = click.Argument(
            [field.name],
            type=kind,
            required=field.required,
            nargs=-1 if field.kind == "list" else 1,
            metavar=_metavar(field),
        )
        argument.field = field  # type: ignore[attr-defined]
        return argument
    note = field.description
    if field.required and field.name == OUT:
        note += "  [required]"
    elif not field.required and field.default not in (None, False, True, [], "", {}):
        note += f" (default {field.default})"
    if field.kind == "flag":
        negative = f"/--no-{field.flag[2:]}" if field.default is True else ""
        spelling = [field.flag + negative, field.name]
        return click.Option(spelling, is_flag=True, default=None, help=note)
    names = [SHORT[field.name]] if field.name in SHORT else []
    return click.Option(
        [*names, field.flag, field.name],
        type=kind,
        required=field.required and field.name != OUT,
        multiple=field.kind == "list",
        help=note,
    )


def _metavar(field: Field) -> str:
    name = field.name.upper()
    shown = f"{name.removesuffix('S') if field.kind == 'list' else name}"
    if field.kind == "list":
        shown += "…"
    return shown if field.required else f"[{shown}]"


def read_input(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed as the operation's input, plain JSON."""
    value = {}
    for field in operation.fields:
        taken = read_value(field, given.get(field.name))
        if taken is not None:
            value[field.name] = taken
        elif field.required and field.name == OUT:
            words = " ".join(["squad", *operation.path])
            raise InvalidError(
                f"{words} needs -o and what to write", code="cli.usage", hint=operation.example
            )
    return value


def read_value(field: Field, given: Any) -> Any:
    """Return what was typed as plain JSON; None when nothing was."""
    if given is None or given == ():
        return None
    if field.kind == "list":
        return list(given)
    if field.kind == "json":
        from agentsquad.kernel import canonical

        try:
            return canonical.loads(given)
        except InvalidError as error:
            raise InvalidError(
                f"{field.flag} takes JSON", code="cli.usage", hint=error.message
            ) from error
    return given
