"""The entry of `squad`: words and options become one action's input, its output
a page.

Commands are made from operations (surfaces/gateway); nothing here knows an
action by name except how to lay some outputs out well (views.py).
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from agentsquad import __version__
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import BugError, InvalidError, SquadError, surface_of
from agentsquad.surfaces.cli import render
from agentsquad.surfaces.gateway.contract import Installation
from agentsquad.surfaces.gateway.operation import Field, Operation, operations

EPILOG = """\b
First minute:  squad demo            run purchase-to-pay on generated orders
Look:          squad runs list       squad inbox       squad why RUN
Check a file:  squad edi check FILE  (exit 0 valid, 2 not)
Every command: --help shows an example; -o json prints for programs."""

GROUPS = {
    "runs": "Look at runs, cancel and signal them.",
    "log": "Show, verify, prove and export the log.",
    "edi": "Check, acknowledge, show and convert X12 files.",
    "policy": "Check, test and ask policy.",
    "models": "List, test and ask models.",
    "budget": "Set and show budgets.",
    "demo": "Run the flagship on generated orders; make orders of any number.",
    "effects": "Resolve effects whose outcome is unknown.",
}


class Leaf(click.Command):
    """One operation as a command."""

    def __init__(self, operation: Operation, installation: Installation) -> None:
        params: list[click.Parameter] = [parameter(field) for field in operation.fields]
        params += output_options()
        text = operation.summary
        if operation.description:
            text += "\n\n" + operation.description
        examples = operation.examples or (operation.example,)
        super().__init__(
            operation.path[-1],
            params=params,
            callback=self.carry_out,
            help=text,
            short_help=operation.summary,
            epilog="\b\nExample:\n" + "\n".join(f"  {line}" for line in examples),
        )
        self.operation = operation
        self.installation = installation

    def carry_out(self, **given: Any) -> None:
        """Call the action and print what came of it."""
        options = click.get_current_context().find_root().obj
        form = given.pop("output_form") or options["form"]
        home, actor = given.pop("home_folder"), given.pop("as_actor")
        options.update({k: v for k, v in (("home", home), ("actor", actor)) if v})
        value = {
            field.name: taken
            for field in self.operation.fields
            if (taken := read_value(field, given.get(field.name))) is not None
        }
        sys.exit(run(self.installation, self.operation, value, form, options))


class Tree(click.Group):
    """Commands that take words before they become one."""


def output_options() -> list[click.Parameter]:
    """Return the options every command has."""
    return [
        click.Option(
            ["-o", "--output", "output_form"],
            type=click.Choice(["table", "json", "yaml"]),
            help="How to print; table for people.",
        ),
        click.Option(["--home", "home_folder"], metavar="DIR", help="Where the store is kept."),
        click.Option(["--as", "as_actor"], metavar="ACTOR", help="Who asks, e.g. person:ada."),
    ]


def parameter(field: Field) -> click.Parameter:
    """Return a field as an argument or option."""
    kinds: dict[str, Any] = {"integer": click.INT, "number": click.FLOAT}
    kind = click.Choice(field.choices) if field.choices else kinds.get(field.kind, click.STRING)
    if field.positional:
        return click.Argument(
            [field.name],
            type=kind,
            required=field.required,
            nargs=-1 if field.kind == "list" else 1,
            metavar=field.name.upper() + ("…" if field.kind == "list" else ""),
        )
    note = field.description
    if field.required:
        note += " (required)"
    elif field.default not in (None, False, (), [], "", {}):
        note += f" (default {field.default})"
    if field.kind == "flag":
        return click.Option([field.flag, field.name], is_flag=True, default=None, help=note)
    return click.Option(
        [*short(field), field.flag, field.name],
        type=kind,
        required=field.required,
        multiple=field.kind == "list",
        help=note,
    )


def short(field: Field) -> list[str]:
    """Return the one-letter spelling of the few options that people expect to
    have one."""
    return {"files": ["-f"], "file": ["-f"], "out": ["-O"]}.get(field.name, [])


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
            raise InvalidError(f"{field.flag} takes JSON", hint=error.message) from error
    return given


def build(installation: Installation) -> Tree:
    """Return the whole command."""
    root = Tree(
        "squad",
        help="Agent Squad: work done by AI agents and people, on one verifiable log.",
        epilog=EPILOG,
        no_args_is_help=True,
        params=[
            click.Option(["--home"], metavar="DIR", help="Where the store is kept [.squad]."),
            click.Option(["--as", "actor"], metavar="ACTOR", help="Who asks, e.g. person:ada."),
            click.Option(
                ["-o", "--output", "form"],
                type=click.Choice(["table", "json", "yaml"]),
                default="table",
            ),
        ],
    )
    root.callback = _remember
    click.version_option(__version__, prog_name="squad")(root)
    for op in operations(installation.registry()):
        _place(root, op, installation)
    return root


def _place(root: Tree, op: Operation, installation: Installation) -> None:
    group: click.Group = root
    for word in op.path[:-1]:
        inner = group.commands.get(word)
        if not isinstance(inner, click.Group):
            inner = Tree(
                word,
                help=GROUPS.get(word),
                short_help=GROUPS.get(word, f"Commands of {word}."),
                invoke_without_command=inner is not None,
                params=list(inner.params) if inner is not None else None,
                callback=inner.callback if inner is not None else None,
            )
            group.commands[word] = inner
        group = inner
    last = op.path[-1]
    there = group.commands.get(last)
    leaf = Leaf(op, installation)
    if isinstance(there, click.Group):  # `squad demo` beside `squad demo data`
        there.params, there.invoke_without_command = leaf.params, True
        there.callback, there.help, there.epilog = _unless_sub(leaf), leaf.help, leaf.epilog
        there.short_help = leaf.short_help
        there.no_args_is_help = False
        return
    group.commands[last] = leaf


def _unless_sub(leaf: Leaf) -> Any:
    def callback(**given: Any) -> None:
        if click.get_current_context().invoked_subcommand is None:
            leaf.carry_out(**given)

    return callback


def _remember(**options: Any) -> None:
    click.get_current_context().obj = options


def run(
    installation: Installation, op: Operation, value: Any, form: str, options: dict[str, Any]
) -> int:
    """Carry one operation out and print it; return the exit code."""
    actor = None
    if options.get("actor"):
        text = options["actor"]
        actor = Actor.parse(text if ":" in text else f"person:{text}")

    async def carried_out() -> Any:
        squad = installation.open(options.get("home"))
        screen = render.Screen(form)
        squad.world.progress = screen.progress
        for role, adapter in screen.ports().items():
            squad.world.ports.put(role, adapter)
        try:
            return await squad.invoke(op.action, value, actor=actor or squad.actor)
        finally:
            screen.close()
            await squad.close()

    result = asyncio.run(carried_out())
    render.show(op.action, result, form)
    return exit_code(result)


def exit_code(result: Any) -> int:
    """Return the exit code an output asks for: its `exit_code`, or 2 when it is
    not valid."""
    code = getattr(result, "exit_code", None)
    if isinstance(code, int):
        return code
    return 2 if getattr(result, "valid", True) is False else 0


def run_command_line(installation: Installation) -> None:
    """Run `squad` with the process's own arguments."""
    arguments = sys.argv[1:]
    form = "json" if "json" in arguments and ("-o" in arguments or "--output" in arguments) else ""
    try:
        root = build(installation)
        root.main(arguments, prog_name="squad", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("stopped; open runs continue with: squad resume", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except SquadError as error:
        render.failure(error, form)
        sys.exit(surface_of(error).exit)
    except Exception as error:  # noqa: BLE001 - the last door: our bug, said plainly
        import traceback

        traceback.print_exc()
        render.failure(BugError(f"{type(error).__name__}: {error}"), form)
        sys.exit(surface_of(error).exit)
