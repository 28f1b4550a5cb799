"""Guard: a call takes its place among those under way, is refused at once while
its breaker is open, and is answered otherwise when it failed for good.

Only reads are answered otherwise: a fallback that changes the world would be
another effect, and has its place in the workflow. What a person calls outside
any run is not guarded: the person sees what happens. Nor is what mends: to undo
an effect, or to find out about one, is never refused here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.engine.door import Proceed, Step, StepContext, World, only
from agentsquad.runtime.engine.interceptors.admit import left
from agentsquad.runtime.engine.interceptors.effect import mends
from agentsquad.runtime.resilience.guard import FallbackRule, Guard, Guards, failing


@only(lambda spec: spec.effect is not Effect.PURE, lambda spec, ports: ports.has(Guards))
def guard(world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
    """Hold a place of the bulkhead around the call; fall back when it
    fails."""
    if step.run is None or world.ports.get(Guards).none() or mends(step):
        return proceed(step)
    return _guarded(world, step, proceed)


async def _guarded(world: World, step: Step, proceed: Proceed) -> Any:
    effect = step.action.spec.effect
    live = await world.ports.get(Guards).of(step.action.name, step.input)
    if live is None:
        return await proceed(step)
    step.guard = live
    live.called()
    try:
        async with AsyncExitStack() as held:
            if _at_once(live, step):
                await live.refuse()
            if live.bulkhead is not None and not left(step):
                await held.enter_async_context(live.bulkhead.place())
            return await proceed(step)
    except SquadError as error:
        rule = live.rule.fallback
        if rule is None or effect.outward or not failing(error):
            raise
        return await _otherwise(world, step, rule, error)


def _at_once(live: Guard, step: Step) -> bool:
    """Whether an open breaker refuses before anything else, rather than each
    try, so that retries may wait for it.

    An effect is then not even planned; but what has left already must be found
    out about.
    """
    if step.action.spec.effect.outward:
        return step.effect is None
    return live.rule.fallback is not None


async def _otherwise(world: World, step: Step, rule: FallbackRule, error: SquadError) -> Any:
    """Return what is said instead; the first error, if that fails too."""
    output = step.action.spec.output
    try:
        said = rule.output
        if rule.action is not None:
            said = await StepContext(world, step).call(rule.action, step.input)
        if output is not Any:
            said = msgspec.convert(msgspec.to_builtins(said), output, strict=False)
    except (SquadError, msgspec.ValidationError) as failed:
        error.details["fallback"] = str(failed)
        raise error from failed
    step.notes["fallback"] = {"action": rule.action, "error": error.to_dict()}
    return said
