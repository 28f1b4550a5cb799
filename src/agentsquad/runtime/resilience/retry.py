"""Retry: whether a failed step is tried again, and after how long, as a pure
function.

It only decides; the engine (for steps) and a guarded model (for calls) do the
waiting, so the same rule is tested without a clock and replayed without one.

Laws:
    1. Only an error whose table row is retryable, or whose code the policy
       names, is retried.
    2. An integrity error and a signal (suspend, cancel) are never retried,
       whatever the policy names.
    3. A policy of n attempts gives at most n - 1 delays.
    4. A delay is never shorter than what the other side asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.errors import IntegrityError, SquadError, surface_of


def retryable(policy: RetryPolicy, error: BaseException) -> bool:
    """Say whether this kind of failure may be tried again under this policy."""
    if not isinstance(error, Exception) or isinstance(error, IntegrityError):
        return False
    if surface_of(error).retryable:
        return True
    return isinstance(error, SquadError) and error.code in policy.codes


def next_delay_ms(
    policy: RetryPolicy, attempt: int, error: BaseException, random: Callable[[], float]
) -> int | None:
    """Return how long to wait after failed attempt `attempt` (from 1), or None
    to give up.

    `random` yields a number in [0, 1) and is drawn only when there will be a
    retry and the policy has jitter, so that a recorded source of chance is
    never advanced for nothing.
    """
    if attempt >= policy.attempts or not retryable(policy, error):
        return None
    delay = _backoff_ms(policy, attempt)
    if policy.jitter:
        delay *= 1 - policy.jitter + 2 * policy.jitter * random()
    asked = error.retry_after_ms if isinstance(error, SquadError) else None
    return max(0, math.ceil(delay), asked or 0)


def _backoff_ms(policy: RetryPolicy, attempt: int) -> float:
    """Grow geometrically from `initial_ms` up to `max_ms`, without overflowing
    on the way.
    """
    if policy.initial_ms <= 0:
        return 0.0
    if policy.factor <= 1:
        return min(policy.initial_ms * policy.factor ** (attempt - 1), float(policy.max_ms))
    if policy.max_ms <= policy.initial_ms:
        return float(policy.max_ms)
    steps_to_top = math.log(policy.max_ms / policy.initial_ms, policy.factor)
    if attempt - 1 >= steps_to_top:
        return float(policy.max_ms)
    return min(policy.initial_ms * policy.factor ** (attempt - 1), float(policy.max_ms))
