"""The tree of commands: words that lead to operations, made as they are asked
for.

A word may be an operation itself and lead further: `squad demo` beside `squad
demo data`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from agentsquad.kernel.spelling import closest
from agentsquad.surfaces.cli import everywhere
from agentsquad.surfaces.cli.command import (
    Carry,
    Leaf,
    format_examples,
    format_options,
    parameter,
    prose,
    read_input,
)
from agentsquad.surfaces.gateway.operation import Operation

GROUPS = {
    "a2a": "Look at what agents of other systems asked for.",
    "push": "Say who is told of a task's states; look at what was delivered.",
    "tools": "List, pin and compare the tools of MCP servers.",
    "access": "Check whether somebody may do something.",
    "breakers": "Show what is not called for now; open and close it by hand.",
    "budget": "Set and show budgets; release what a crash left reserved.",
    "consistency": "Judge recorded histories of a store.",
    "deployments": "List and show what was deployed; retire versions.",
    "demo": "Run the flagship on shipped orders; make more of them.",
    "edi": "Check, answer, show and convert X12 files.",
    "effects": "Resolve effects whose outcome is unknown.",
    "events": "List events a page at a time.",
    "engine": "Drive the runs of a store; show how much there is to do.",
    "log": "Show, verify, prove and export the log.",
    "messages": "Say that something happened; list who listens.",
    "models": "List, test and ask models.",
    "namespaces": "List, create and delete namespaces.",
    "proxy": "Record and replay any agent.",
    "dead": "List requests that were given up; send them again.",
    "policy": "Check, test, show and ask policy.",
    "pools": "Show who waits for a place.",
    "receipt": "Check signed reports.",
    "resources": "List resources a page at a time; put one as a value.",
    "runs": "List and show runs; cancel and signal them.",
    "transactions": "List and end changes that several databases promised.",
    "users": "Add, list and delete people; set their passwords.",
    "services": "Add and list services.",
    "keys": "Make, list and revoke API keys.",
    "grants": "Say who holds which role where.",
    "sessions": "List and end sessions.",
    "tokens": "List, look into and revoke tokens.",
    "factors": "Set up second factors; make recovery codes.",
    "clients": "Say which programs may ask people for tokens.",
    "schedule": "Show and run what starts by itself.",
}


class Branch:
    """What follows some words: an operation, further words, or both."""

    def __init__(self, words: tuple[str, ...] = ()) -> None:
        self.words = words
        self.operation: Operation | None = None
        self.inner: dict[str, Branch] = {}

    @classmethod
    def grown(cls, operations: Iterable[Operation]) -> Branch:
        """Return the tree of these operations."""
        root = cls()
        for operation in operations:
            branch = root
            for word in operation.path:
                branch = branch.inner.setdefault(word, cls((*branch.words, word)))
            branch.operation = operation
        return root

    @property
    def summary(self) -> str:
        """What a list of commands says about it."""
        if self.inner:
            return GROUPS.get(self.words[-1], f"Commands of {self.words[-1]}.")
        return self.operation.summary if self.operation else ""

    def paths(self) -> list[tuple[str, ...]]:
        """Return the words of every operation below."""
        own = [self.words] if self.operation else []
        return own + [path for branch in self.inner.values() for path in branch.paths()]


class Tree(click.Group):
    """Words that lead further."""

    def __init__(self, branch: Branch, carry: Carry, extra: Iterable[click.Command] = ()) -> None:
        operation = branch.operation
        fields = operation.fields if operation else ()
        self.rest = next((f.name for f in fields if f.positional and f.kind == "list"), None)
        own = [parameter(field) for field in fields if field.name != self.rest]
        super().__init__(
            branch.words[-1] if branch.words else "squad",
            params=[*own, *everywhere.options()],
            callback=self.carry_out,
            invoke_without_command=True,
            help=prose(operation) if operation else branch.summary if branch.words else None,
            commands={command.name or "": command for command in extra},
        )
        self.branch = branch
        self.carry = carry

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Take what follows `--` as it is, where the operation takes any number
        of words: before it, words lead further."""
        if self.rest is not None and "--" in args:
            place = args.index("--")
            context.params[self.rest] = tuple(args[place + 1 :])
            args = args[:place]
        return super().parse_args(context, args)

    def collect_usage_pieces(self, context: click.Context) -> list[str]:
        """Return what the usage line says after the words."""
        if self.rest is None:
            return super().collect_usage_pieces(context)
        return ["[OPTIONS]", f"[-- {self.rest.upper()}…]"]

    def carry_out(self, **given: Any) -> int:
        """Carry out the operation of these words, unless more words follow;
        words that are none show their help."""
        context = click.get_current_context()
        if context.invoked_subcommand is not None:
            return 0
        operation = self.branch.operation
        if operation is None:
            click.echo(context.get_help())
            return 0
        return self.carry(operation, read_input(operation, given), everywhere.asked())

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the words that may follow."""
        return sorted({*self.branch.inner, *self.commands})

    def get_command(self, context: click.Context, cmd_name: str) -> click.Command | None:
        """Return what a word leads to, made when asked for."""
        made = self.commands.get(cmd_name)
        branch = self.branch.inner.get(cmd_name)
        if made is None and branch is not None:
            if branch.inner:
                made = Tree(branch, self.carry)
            elif branch.operation is not None:
                made = Leaf(branch.operation, self.carry)
            if made is not None:
                self.commands[cmd_name] = made
        return made

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command the next word names; suggest one if none does."""
        word = args[0]
        if self.get_command(context, word) or word.startswith("-"):
            return super().resolve_command(context, args)
        raise UnknownCommandError(word, self.suggestion(context, word), context)

    def suggestion(self, context: click.Context, word: str) -> str | None:
        """Return the words somebody probably meant."""
        everything = context.find_root().command
        paths = everything.branch.paths() if isinstance(everything, Tree) else []
        found = [path for path in paths if path[-1] == word]
        if found:
            return ", or ".join(" ".join(["squad", *path]) for path in found[:4])
        near = closest(word, self.list_commands(context))
        return " ".join(["squad", *self.branch.words, near]) if near else None

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the words that may follow, then options."""
        self.format_commands(context, formatter)
        format_options(self, context, formatter)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the words that may follow."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(word, self.short(context, word)) for word in self.list_commands(context)]
            )

    def short(self, context: click.Context, word: str) -> str:
        """Return what a list says about a word."""
        branch = self.branch.inner.get(word)
        if branch is None:
            return self.commands[word].short_help or ""
        return branch.summary if branch.inner else first_clause(branch.summary)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples that can be typed."""
        if self.branch.operation is not None:
            format_examples(self.branch.operation, formatter)
        elif self.branch.words:
            below = [b.operation.example for b in self.branch.inner.values() if b.operation]
            with formatter.section("Examples"):
                for line in below[:3]:
                    formatter.write(" " * formatter.current_indent + line + "\n")


class UnknownCommandError(click.UsageError):
    """A word that leads nowhere."""

    def __init__(self, word: str, meant: str | None, context: click.Context) -> None:
        path = context.command_path
        super().__init__(f"{path} has no command {word!r}", context)
        self.hint = f"did you mean: {meant}" if meant else f"{path} --help lists the commands"


def first_clause(text: str) -> str:
    """Return a summary up to what only explains it."""
    head = text.partition(";")[0]
    return head if head.endswith(".") else head + "."
