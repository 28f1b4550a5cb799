"""Retry: try again with back-off and jitter where trying again is safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentsquad.kernel.errors import LimitError, SquadError
from agentsquad.runtime.engine.door import Proceed, Step, World
from agentsquad.runtime.resilience.retry import next_delay_ms


async def retry(world: World, step: Step, proceed: Proceed) -> Any:
    """Repeat a failed call as its policy says.

    An outward call is only repeated if surely nothing was sent.
    """
    while True:
        step.attempts += 1
        try:
            return await proceed(step)
        except SquadError as error:
            wait = next_delay_ms(step.retry, step.attempts, error, chance(world))
            if wait is None or not _safe(step, error):
                raise
            if step.guard is not None and not step.guard.may_retry():
                error.details["retries"] = "no more for now: too many calls were tried again"
                raise
            await world.clock.sleep_ms(wait)


def chance(world: World) -> Callable[[], float]:
    """Return what draws numbers in [0, 1)."""
    return lambda: int.from_bytes(world.entropy.token(6), "big") / (1 << 48)


def _safe(step: Step, error: SquadError) -> bool:
    if not step.action.spec.effect.outward:
        return True
    return isinstance(error, LimitError) or error.details.get("sent") is False
