"""Saga: calls whose effects are undone, last dependency first, when the run
does not succeed.

A call that ended later can only depend on calls that ended before, so undoing
in the reverse order of completion is a reverse topological order of the
dependencies, parallel branches included.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.runtime.engine.contract import CancelSignal
from agentsquad.runtime.engine.ground import Ground
from agentsquad.runtime.engine.scheduler import Latch


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """What a compensating action is given: what was asked, what came of it, and
    where in the run."""

    input: Any
    output: Any
    position: str = ""


class Entry(msgspec.Struct, kw_only=True, eq=False):
    """How one thing that was done is undone; `undoes` is its position, if
    known, and `step` the name its step had."""

    name: str
    compensate: str
    given: Any
    undoes: str | None = None
    step: str = ""

    def among(self, names: Collection[str]) -> bool:
        """Whether one of these names it: its action, its step or its
        position."""
        return self.name in names or self.step in names or self.undoes in names


class Saga:
    """What can be undone, in the order it succeeded.

    Laws: a thing is undone at most once, however often and from how many
    branches that is asked for, and whatever crashes in between; what depends on
    another thing is undone before it.
    """

    def __init__(self, ctx: Ground) -> None:
        self._ctx = ctx
        self.entries: list[Entry] = []
        self._known: set[tuple[str, str]] = set()
        self._going: list[tuple[Entry, Latch, dict[str, Any]]] = []

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
        position = self.here()
        output = await self._ctx.call(action, value, **options)
        given = Undo(
            # What was done, which a person may have changed.
            input=msgspec.to_builtins(self._ctx.patches.get(position, value)),
            output=msgspec.to_builtins(output),
            position=position,
        )
        step = options.get("name") or action
        self._add(
            Entry(name=action, compensate=compensate, given=given, undoes=position, step=step)
        )
        return output

    def here(self) -> str:
        """Return the position the next step will have, to be undone by."""
        position = str(self._ctx.peek_position())
        self._ctx.undoable.add(position)
        return position

    def remember(
        self, compensate: str, given: Any, name: str, *, undoes: str | None = None
    ) -> None:
        """Remember how to undo something that was done, at a position: this
        action, with this input. The same for the same position counts once."""
        self._add(Entry(name=name, compensate=compensate, given=given, undoes=undoes, step=name))

    def _add(self, entry: Entry) -> None:
        if entry.undoes is not None:
            key = (entry.compensate, entry.undoes)
            if key in self._known:
                return
            self._known.add(key)
        self.entries.append(entry)

    def forget(self, *names: str) -> int:
        """Undo these no more, or nothing where none is named; return how many
        that were."""
        kept = [entry for entry in self.entries if names and not entry.among(names)]
        gone = len(self.entries) - len(kept)
        self.entries[:] = kept
        return gone

    async def undo(
        self, *, only: Collection[str] | None = None, skip: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """Undo what was done, last first; one that fails does not keep the
        others from being undone.

        `only` and `skip` name actions, steps or positions. What is left stays
        to be undone later. What another branch is undoing is waited for and
        reported too, and not undone again.
        """
        report = []
        others = [one for one in self._going if _chosen(one[0], only, skip)]
        while (entry := self._next(only, skip)) is not None:
            self.entries.remove(entry)
            report.append(await self._undo(entry))
        for _, over, line in others:
            await over
            report.append(line)
        return report

    def _next(self, only: Collection[str] | None, skip: Collection[str]) -> Entry | None:
        found = (entry for entry in reversed(self.entries) if _chosen(entry, only, skip))
        return next(found, None)

    async def _undo(self, entry: Entry) -> dict[str, Any]:
        line: dict[str, Any] = {"action": entry.name, "by": entry.compensate}
        going = (entry, self._ctx.latch(), line)
        self._going.append(going)
        try:
            await self._ctx.call(
                entry.compensate, entry.given, name=f"undo {entry.name}", undoes=entry.undoes
            )
            line["undone"] = True
        except SquadError as error:
            line["undone"] = False
            line["error"] = errors.record(error)
        except CancelSignal:  # it was not begun, and is still to be undone
            self.entries.append(entry)
            raise
        finally:
            self._going.remove(going)
            going[1].open()
        return line


def _chosen(entry: Entry, only: Collection[str] | None, skip: Collection[str]) -> bool:
    return (only is None or entry.among(only)) and not entry.among(skip)
