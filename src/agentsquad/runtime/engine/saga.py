"""Saga: calls whose effects are undone, last dependency first, when the run
does not succeed.

A call that ended later can only depend on calls that ended before, so undoing
in the reverse order of completion is a reverse topological order of the
dependencies, parallel branches included.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.errors import InvalidError, SquadError


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """What a compensating action is given: what was asked, what came of it, and
    where in the run."""

    input: Any
    output: Any
    position: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing that was done is undone; `undoes` is its position, if
    known."""

    name: str
    compensate: str
    given: Any
    undoes: str | None = None


class Saga:
    """A list of undoable calls, in the order they succeeded."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self.entries: list[Entry] = []

    async def call(self, action: str, value: Any = None, **options: Any) -> Any:
        """Call an action that names its compensation; remember it when it
        succeeds."""
        compensate = options.pop("compensate", None)
        spec = self._ctx.registry.action(action).spec
        compensate = compensate or spec.compensate
        if compensate is None:
            raise InvalidError(
                f"action {action!r} has no compensation",
                code="saga.compensation",
                hint="give @action(compensate=…) or saga.call(…, compensate=…)",
            )
        position = self._ctx.peek_position()
        output = await self._ctx.call(action, value, **options)
        given = Undo(
            input=msgspec.to_builtins(value),
            output=msgspec.to_builtins(output),
            position=position,
        )
        self.entries.append(Entry(name=action, compensate=compensate, given=given, undoes=position))
        return output

    def here(self) -> str:
        """Return the position the next step will have, to be undone by."""
        return str(self._ctx.peek_position())

    def remember(
        self, compensate: str, given: Any, name: str, *, undoes: str | None = None
    ) -> None:
        """Remember how to undo something that was done, at a position: this
        action, with this input."""
        self.entries.append(Entry(name=name, compensate=compensate, given=given, undoes=undoes))

    async def undo(self) -> list[dict[str, Any]]:
        """Undo everything, last first; one that fails does not keep the others
        from being undone."""
        report = []
        while self.entries:
            entry = self.entries.pop()
            line: dict[str, Any] = {"action": entry.name, "by": entry.compensate}
            try:
                await self._ctx.call(
                    entry.compensate, entry.given, name=f"undo {entry.name}", undoes=entry.undoes
                )
                line["undone"] = True
            except SquadError as error:
                line["undone"] = False
                line["error"] = errors.record(error)
            report.append(line)
        return report
