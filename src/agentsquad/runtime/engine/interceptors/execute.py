"""Execute: run the action's function under its deadline; foreign exceptions
become ours here."""

from __future__ import annotations

import asyncio
from typing import Any

from agentsquad.kernel.errors import BugError, SquadError
from agentsquad.runtime.engine.contract import StepDeadlineError
from agentsquad.runtime.engine.door import Proceed, Step, StepContext, World


async def execute(world: World, step: Step, proceed: Proceed) -> Any:
    """Call the function; nothing comes after this interceptor."""
    action = step.action
    context = StepContext(world, step)
    try:
        if not action.is_async:
            return action.fn(context, step.value)
        if step.timeout_ms is None:
            return await action.fn(context, step.value)
        async with asyncio.timeout(step.timeout_ms / 1000):
            return await action.fn(context, step.value)
    except TimeoutError as error:
        raise StepDeadlineError(
            f"{action.name} took longer than {step.timeout_ms} ms",
            details={"action": action.name, "timeout_ms": step.timeout_ms},
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
