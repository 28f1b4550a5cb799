"""The entry of `squad`: words and options become one action's input, its output
a page, its failure an error with an exit code.

Commands are made from operations (surfaces/gateway); nothing here knows an
action by name except how to lay some outputs out well (views/).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from agentsquad.kernel.errors import BugError, SquadError, surface_of
from agentsquad.surfaces.cli import everywhere, failure
from agentsquad.surfaces.cli.completion import VARIABLE
from agentsquad.surfaces.cli.letters import lenient
from agentsquad.surfaces.cli.perform import Performer, StaleIndexError
from agentsquad.surfaces.cli.root import Root
from agentsquad.surfaces.cli.tree import UnknownCommandError
from agentsquad.surfaces.gateway.installation import Installation
from agentsquad.surfaces.gateway.operation import operations

INTERRUPTED = 130
STOPPED = """\
stopped; nothing that was recorded is lost.
Open runs continue with: squad resume"""


def run_command_line(installation: Installation, arguments: Sequence[str] | None = None) -> None:
    """Run `squad` with these arguments, or the process's own, and exit."""
    lenient()
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(guarded(lambda: carried_out(installation, given), installation, given))


def carried_out(installation: Installation, arguments: Sequence[str]) -> int:
    """Run one command line; raises what goes wrong.

    Where the index turns out not to be that of the plugins, the plugins are
    asked instead.
    """
    try:
        return once(Root(installation.operations(), Performer(installation).carry), arguments)
    except (StaleIndexError, UnknownCommandError, click.NoSuchOption):
        found = operations(installation.registry())
        if found == list(installation.operations()):
            raise
    return once(Root(found, Performer(installation, live=True).carry), arguments)


def once(root: Root, arguments: Sequence[str]) -> int:
    """Parse and carry out."""
    code = root.main(
        list(arguments), prog_name="squad", standalone_mode=False, complete_var=VARIABLE
    )
    return code if isinstance(code, int) else 0


def guarded(run: Callable[[], int], installation: Installation, arguments: Sequence[str]) -> int:
    """Turn whatever goes wrong into words and an exit code."""
    form = everywhere.form_in(arguments)
    try:
        return run()
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as mistake:
        return failed(failure.usage(mistake), form)
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo(STOPPED, err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return _quiet_end()
    except BugError as error:
        return failed(_bug(error, installation), form)
    except SquadError as error:
        return failed(error, form)
    except Exception as error:  # noqa: BLE001 - the last door: our bug, said plainly
        bug = BugError(f"{type(error).__name__}: {error}")
        bug.__cause__ = error
        return failed(_bug(bug, installation), form)


def _bug(bug: BugError, installation: Installation) -> BugError:
    """Say where it happened if that is wanted, and that we want to know."""
    if installation.debug:
        import traceback

        traceback.print_exception(bug)
    bug.hint = bug.hint or failure.BUG_HINT
    return bug


def failed(error: SquadError, form: str) -> int:
    """Print an error and return its exit code."""
    failure.show(error, form)
    return surface_of(error).exit


def _quiet_end() -> int:
    """Whoever read our output has read enough; keep Python from complaining
    about what is left."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
