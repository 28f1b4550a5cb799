"""Retry: try again with back-off and jitter where trying again is safe."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.errors import LimitError, SquadError, surface_of
from agentsquad.runtime.engine.door import Proceed, Step, World


async def retry(world: World, step: Step, proceed: Proceed) -> Any:
    """Repeat a failed call as its policy says; an outward call only if surely
    nothing was sent."""
    policy = step.retry
    while True:
        step.attempts += 1
        try:
            return await proceed(step)
        except SquadError as error:
            if step.attempts >= policy.attempts or not _worth(step, policy, error):
                raise
            wait = delay_ms(policy, step.attempts, world.entropy.token(4))
            await world.clock.sleep_ms(max(wait, error.retry_after_ms or 0))


def delay_ms(policy: RetryPolicy, attempt: int, chance: bytes) -> float:
    """Return the wait after the `attempt`-th failure, jittered by four random
    bytes."""
    plain = min(policy.initial_ms * policy.factor ** (attempt - 1), policy.max_ms)
    share = int.from_bytes(chance, "big") / 0xFFFFFFFF
    return float(plain * (1 - policy.jitter + 2 * policy.jitter * share))


def _worth(step: Step, policy: RetryPolicy, error: SquadError) -> bool:
    if step.action.spec.effect.outward and not (
        isinstance(error, LimitError) or error.details.get("sent") is False
    ):
        return False
    return surface_of(error).retryable or error.code in policy.codes
