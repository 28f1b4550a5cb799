"""The top of the tree: `squad` itself, its commands in sections."""

from __future__ import annotations

from collections.abc import Iterable

import click

from agentsquad import __version__
from agentsquad.surfaces.cli.command import Carry
from agentsquad.surfaces.cli.completion import completion
from agentsquad.surfaces.cli.tree import Branch, Tree
from agentsquad.surfaces.cli.version import show_version, version
from agentsquad.surfaces.gateway.operation import Operation

INTRODUCTION = "Agent Squad: work done by AI agents and people, on one verifiable log."

SECTIONS: dict[str, tuple[str, ...]] = {
    "Run": (
        "demo",
        "up",
        "run",
        "resume",
        "worker",
        "schedule",
        "messages",
        "deploy",
        "deployments",
    ),
    "People": ("inbox", "approve", "reject", "ask", "delegate"),
    "Look": ("runs", "engine", "pools", "log", "events", "cost", "why"),
    "Prove": ("replay", "fork", "prove", "erase", "rebuild"),
    "Try": ("check", "test", "export-test", "chaos", "consistency", "drift", "baseline", "receipt"),
    "Files": ("edi", "import"),
    "Policy and money": ("policy", "budget", "breakers", "halt", "lift", "effects", "transactions"),
    "Models and agents": ("proxy", "models", "apply", "get", "delete", "explain", "resources"),
    "Tools and other agents": ("mcp", "tools", "a2a"),
    "Who may what": ("who-can", "access", "namespaces", "grants"),
    "Who may sign in": ("users", "services", "keys", "sessions", "tokens", "factors", "clients"),
    "This program": ("login", "logout", "whoami", "doctor", "completion", "version"),
}

EXAMPLES = """\
  squad demo                                    the first minute
  squad run purchase-to-pay --input orders/     your own X12 files
  squad inbox                                   what waits for you
  squad edi check order.edi -o json             exit 0 valid, 2 not
"""


class Root(Tree):
    """`squad`."""

    def __init__(self, operations: Iterable[Operation], carry: Carry) -> None:
        super().__init__(Branch.grown(operations), carry, extra=(version, completion))
        self.help = INTRODUCTION
        self.params.append(
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=show_version,
                help="Print the version.",
            )
        )
        self.context_settings = {"help_option_names": ["--help", "-h"], "max_content_width": 100}

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command the next word names; `help` asks for the help of
        those that follow."""
        if args[0] == "help":
            args = [*args[1:], "--help"]
            if len(args) == 1:
                click.echo(context.get_help())
                context.exit()
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in sections; one in no section still shows."""
        words = self.list_commands(context)
        placed = {word for section in SECTIONS.values() for word in section}
        sections = {**SECTIONS, "More": tuple(word for word in words if word not in placed)}
        width = max(map(len, words))
        for title, members in sections.items():
            here = [word for word in members if word in words]
            if here:
                with formatter.section(title):
                    formatter.write_dl(
                        [(word.ljust(width), self.short(context, word)) for word in here]
                    )

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what to type first."""
        formatter.write(f"\nExamples:\n{EXAMPLES}")
        formatter.write(f"\nEvery command has --help with an example. Version {__version__}.\n")
