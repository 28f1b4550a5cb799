"""Resolving: the events that say what became of an effect whose outcome was
unknown.

Pure, and the one place that builds them: whoever finds out, a person at a
terminal or the operator of a rehearsal, must write the same, all in one append,
or a crash between two of them would leave an undoing that undid nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.event import Event

Told = tuple[str, dict[str, Any]]  # type and payload of an event that is told to a run


def resolution(
    journal: Iterable[Event],
    position: str,
    *,
    by: str,
    reason: str,
    came: dict[str, Any],
) -> list[Told]:
    """Return what to append to a run when it is known what came of the effect
    at a position.

    `came` is {"output": …} if it happened, {"error": …} if it certainly did
    not. MissingError when nothing there is of unknown outcome.
    """
    key, undoes = open_effect(journal, position)
    body: dict[str, Any] = {
        "position": position,
        "key": key,
        "resolved_by": by,
        "reason": reason,
        **came,
    }
    if "error" in came:
        return [("effect.failed", body)]
    if undoes is None:
        return [("effect.confirmed", body)]
    return [("effect.compensated", {**undoes, "by": position}), ("effect.confirmed", body)]


def open_effect(journal: Iterable[Event], position: str) -> tuple[str, dict[str, str] | None]:
    """Return the key of an effect of unknown outcome, and position and key of
    the one that it undoes."""
    key: str | None = None
    undoes: dict[str, str] | None = None
    run = ""
    for event in journal:
        run = event.stream.removeprefix("run/")
        body = event.payload or {}
        if body.get("position") != position:
            continue
        if event.type == "effect.planned":
            undoes = body.get("undoes")
        elif event.type == "effect.ambiguous":
            key = body["key"]
        elif event.type in ("effect.confirmed", "effect.failed"):
            key = None
    if key is None:
        raise MissingError(
            f"step {position} of run {run} has no effect of unknown outcome",
            code="effect.missing",
            hint=f"squad runs show {run}",
        )
    return key, undoes
