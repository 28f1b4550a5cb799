"""Execute: run the action's function under its deadline; foreign exceptions
become ours here."""

from __future__ import annotations

import asyncio
from typing import Any

from agentsquad.kernel.errors import BugError, SquadError
from agentsquad.runtime.engine.contract import StepDeadlineError
from agentsquad.runtime.engine.door import Proceed, Step, StepContext, World
from agentsquad.runtime.engine.heartbeat import Heart


def left(world: World, step: Step) -> int | None:
    """Return how long a step may take now; StepDeadlineError when the time of
    its run, or of one above, is over: nothing begins after that."""
    found = step.left_ms(world.clock.now_ms())
    if found is not None and found <= 0:
        raise StepDeadlineError(
            f"{step.action.name} was not begun: the time of its run is over",
            details={"action": step.action.name, "deadline_ms": step.deadline_ms, "sent": False},
        )
    return found


async def execute(world: World, step: Step, proceed: Proceed) -> Any:
    """Call the function; nothing comes after this interceptor."""
    action = step.action
    context = StepContext(world, step)
    limit = step.timeout_ms
    if step.deadline_ms is not None:
        limit = left(world, step)
    try:
        if not action.is_async:
            return action.fn(context, step.value)
        if action.spec.heartbeat_ms is not None:
            return await Heart.of(world, step).watch(context, limit)
        if limit is None:
            return await action.fn(context, step.value)
        async with asyncio.timeout(limit / 1000):
            return await action.fn(context, step.value)
    except TimeoutError as error:
        raise StepDeadlineError(
            f"{action.name} took longer than {limit} ms",
            details={"action": action.name, "timeout_ms": limit},
        ) from error
    except SquadError:
        raise
    except Exception as error:
        raise BugError(
            f"{action.name} failed: {type(error).__name__}: {error}",
            code="action.exception",
            details={"action": action.name},
            private=repr(error),
        ) from error
