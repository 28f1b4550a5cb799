"""Looping: a step repeated on its own result, with an end to going round in
circles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agentsquad.kernel import hashing
from agentsquad.runtime.engine.contract import LoopLimitError, NoProgressError


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How long a loop may go on; `score` says how good a value is, higher is
    better, and `patience` how many turns may pass without a better one."""

    limit: int = 100
    score: Callable[[Any], float] | None = None
    patience: int = 3


async def loop(
    step: Callable[[Any], Awaitable[Any]],
    value: Any,
    until: Callable[[Any], bool],
    bounds: Bounds,
) -> Any:
    """Repeat a step until its result will do.

    Raises NoProgressError when a value comes that was there before, since a
    step that only sees its value would go round for ever, or when none was
    better for too long; LoopLimitError when the turns are used up.
    """
    seen = {_digest(value): 0}
    best: float | None = None if bounds.score is None else bounds.score(value)
    since = 0
    for turn in range(1, bounds.limit + 1):
        if until(value):
            return value
        value = await step(value)
        if until(value):
            return value
        before = seen.setdefault(_digest(value), turn)
        if before != turn:
            raise NoProgressError(
                f"turn {turn} of the loop came to what turn {before} had come to",
                hint="give the step what it needs to do something else, or loosen `until`",
                details={"turn": turn, "same_as": before, "digest": _digest(value)},
            )
        if bounds.score is None or best is None:
            continue
        now = bounds.score(value)
        since = 0 if now > best else since + 1
        best = max(best, now)
        if since >= bounds.patience:
            raise NoProgressError(
                f"{since} turns of the loop came to nothing better than {best}",
                hint="raise `patience`, or take the best value there is",
                details={"turn": turn, "best": best, "patience": bounds.patience},
            )
    if until(value):
        return value
    raise LoopLimitError(
        f"the loop took {bounds.limit} turns and is not done",
        hint="raise `limit`, or see why `until` never holds",
        details={"limit": bounds.limit},
    )


def _digest(value: Any) -> str:
    return hashing.digest(msgspec.to_builtins(value, str_keys=True))
