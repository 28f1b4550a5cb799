"""Carries one operation out: opens the installation, calls the action, prints
what came."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentsquad.kernel.errors import TABLE, BugError, InvalidError
from agentsquad.surfaces.cli.everywhere import Everywhere
from agentsquad.surfaces.cli.screen import Screen
from agentsquad.surfaces.gateway.installation import Installation
from agentsquad.surfaces.gateway.operation import Operation, operation

if TYPE_CHECKING:
    from agentsquad.kernel.actor import Actor

MISFIT = re.compile(r"input of (?P<action>\S+): (?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?")
WAITS = "wait_for_people"  # a field; off where nobody watches
LISTS = ("runs.list", "runs.inbox")
NO_STORE = "no store in {} yet; squad demo starts one, --home names the folder of another"
STARTS = ("runs.start", "runs.resume")  # their exit code is that of the run


class StaleIndexError(BugError):
    """The index of operations is not that of the plugins."""

    code = "cli.stale_index"


class Performer:
    """Calls actions of one installation and prints their outputs."""

    def __init__(self, installation: Installation, *, live: bool = False) -> None:
        """`live`: the operations come from the registry, not from an index."""
        self.installation = installation
        self.live = live

    def carry(self, op: Operation, value: dict[str, Any], everywhere: Everywhere) -> int:
        """Carry one operation out and print its output; return the exit
        code."""
        if not self.live:
            self._check(op)
        result, questions = self._call(op, value, everywhere)
        from agentsquad.surfaces.cli.ink import ink_for
        from agentsquad.surfaces.cli.render import show

        ink = ink_for(self.installation.environment, terminal=sys.stdout.isatty())
        show(op.action, result, everywhere.form, ink, questions)
        if getattr(result, "auto", False) and not value.get("auto"):
            note("no terminal to ask at; approvals were answered by rule, as with --auto")
        return exit_code(op.action, result)

    def _check(self, op: Operation) -> None:
        """See that the action is still what the index said when its command
        was made."""
        found = self.installation.registry().actions.get(op.action)
        if found is None or operation(found) != op:
            raise StaleIndexError(
                f"the index describes {op.action} otherwise than its plugin",
                hint="tools/command_index.py writes the index",
            )

    def _call(self, op: Operation, value: Any, everywhere: Everywhere) -> tuple[Any, list[Any]]:
        """Return an output, and the questions that its runs wait with."""
        import asyncio

        actor = read_actor(everywhere.actor)
        if not watched() and any(field.name == WAITS for field in op.fields):
            value.setdefault(WAITS, False)

        async def called() -> tuple[Any, list[Any]]:
            squad = self.installation.open(everywhere.home, everywhere.namespace)
            screen = Screen(shown=everywhere.form == "table" and not everywhere.quiet)
            squad.world.progress = screen.progress
            try:
                try:
                    result = await squad.invoke(op.action, value, actor=actor or squad.actor)
                except InvalidError as error:
                    raise misfit(op, value, error) or error from None
                if op.action in LISTS and squad.unkept and not everywhere.quiet:
                    note(NO_STORE.format(squad.place))
                waiting = waiting_runs(op.action, result) if everywhere.form == "table" else set()
                asked = await squad.invoke("runs.inbox", {}) if waiting else None
                return result, [
                    one
                    for one in (asked.items if asked else ())
                    if one.run.partition("/")[0] in waiting
                ]
            finally:
                screen.close()
                await squad.close()

        return asyncio.run(called())


def misfit(op: Operation, value: Mapping[str, Any], error: InvalidError) -> InvalidError | None:
    """Return an input that does not fit its type in the words of the command
    line; None where the error is of something else."""
    found = MISFIT.fullmatch(error.message) if error.code == "action.input" else None
    if found is None:
        return None
    field = (found["path"] or "").strip("$.")
    if found["action"] == op.action:
        flag = next((one.flag for one in op.fields if one.name == field), field)
        message, hint = f"{flag}: {found['what']}".strip(": "), f"e.g. {op.example}"
    else:
        whose = value.get("workflow", found["action"])
        message = f"{whose} does not take this input: {found['what']}"
        message += f" in {field}" if field else ""
        hint = f"--input takes a folder or JSON, e.g. {op.example}"
    return InvalidError(message, code=error.code, hint=hint, details=dict(error.details))


def watched() -> bool:
    """Whether somebody sits at a terminal, and sees what is waited for."""
    return sys.stdin.isatty() or sys.stderr.isatty()


def note(text: str) -> None:
    """Tell something beside the output."""
    print(f"note: {text}", file=sys.stderr)  # noqa: T201


def read_actor(text: str | None) -> Actor | None:
    """Return who asks; a bare name is a person's."""
    if text is None:
        return None
    from agentsquad.kernel.actor import Actor

    return Actor.parse(text if ":" in text else f"person:{text}")


def waiting_runs(action: str, result: Any) -> set[str]:
    """Return the runs that were started or continued and wait now."""
    if action not in STARTS:
        return set()
    outcomes = getattr(result, "items", None) or [result]
    return {one.run for one in outcomes if getattr(one, "status", "") == "waiting"}


def exit_code(action: str, result: Any) -> int:
    """Return the exit code an output asks for.

    Its own `exit_code`; 2 when it is not `valid`; for a run that was started
    here and failed, the code of the error it failed with.
    """
    code = getattr(result, "exit_code", None)
    if isinstance(code, int):
        return code
    if getattr(result, "valid", True) is False or getattr(result, "ok", True) is False:
        return 2 if hasattr(result, "valid") else 1
    if action in STARTS:
        outcomes = getattr(result, "items", None) or [result]
        return max((_run_code(one) for one in outcomes), default=0)
    return 0


def _run_code(outcome: Any) -> int:
    status = getattr(outcome, "status", "")
    if status == "cancelled":
        return 1
    if status != "failed":
        return 0
    error = getattr(outcome, "error", None)
    name = error.get("class") if isinstance(error, Mapping) else None
    return next((row.exit for cls, row in TABLE.items() if cls.__name__ == name), 1)
