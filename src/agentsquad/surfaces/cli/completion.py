"""`squad completion SHELL`: a script that completes commands and options."""

from __future__ import annotations

import click

from agentsquad.surfaces.cli import everywhere

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_SQUAD_COMPLETE"

HELP = """Print a script that makes a shell complete commands and options.

\b
bash:  squad completion bash > ~/.local/share/bash-completion/completions/squad
zsh:   squad completion zsh > ~/.zfunc/_squad   (a folder of your fpath)
fish:  squad completion fish > ~/.config/fish/completions/squad.fish
"""


def _print(shell: str) -> int:
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if found is None:
        raise click.BadParameter(f"no completion for {shell}")
    maker = found(root, {}, "squad", VARIABLE)
    # click asks bash for its version first; the script itself needs none.
    click.echo(maker.source_template % maker.source_vars())
    return 0


completion = click.Command(
    "completion",
    callback=_print,
    params=[
        click.Argument(["shell"], type=click.Choice(SHELLS), metavar="SHELL"),
        *everywhere.options(),
    ],
    help=HELP,
    short_help="Print a script for bash, zsh or fish.",
    epilog="\b\nExample:\n  squad completion bash",
)
