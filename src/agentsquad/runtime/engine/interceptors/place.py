"""Place: a step waits for a place in its pool, and gives it back when it has
ended, however.

Before anything is reserved, planned or sent: who waits holds nothing but its
turn.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any

from agentsquad.kernel.action import Effect
from agentsquad.runtime.engine.door import Proceed, Step, World, only
from agentsquad.runtime.engine.interceptors.admit import left
from agentsquad.runtime.engine.interceptors.effect import mends
from agentsquad.runtime.engine.interceptors.retry import chance
from agentsquad.runtime.resilience.contract import PoolFullError
from agentsquad.runtime.resilience.pools import Asker, Held, Pools
from agentsquad.runtime.resilience.retry import next_delay_ms


@only(lambda spec: spec.effect is not Effect.PURE, lambda spec, ports: ports.has(Pools))
def place(world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
    """Hold a place around the call."""
    if step.run is None or step.placed or world.ports.get(Pools).none():
        return proceed(step)
    if mends(step) or left(step):
        return proceed(step)
    return _placed(world, step, step.run, proceed)


async def _placed(world: World, step: Step, run: str, proceed: Proceed) -> Any:
    pools: Pools = world.ports.get(Pools)
    root = run.partition("/")[0]
    asker = Asker(step.action.name, str(step.actor), step.workflow, root, step.input)
    rule = await pools.of(asker)
    if rule is None:
        return await proceed(step)
    async with AsyncExitStack() as stack:
        held = await _enter(world, step, stack, pools, asker)
        if held.waited_ms or len(rule.places.nodes) > 1 or held.pool != rule.name:
            step.notes["place"] = held._asdict()
        return await proceed(step)


async def _enter(
    world: World, step: Step, stack: AsyncExitStack, pools: Pools, asker: Asker
) -> Held:
    """Take a place; where the pool has none, ask again as the step's policy
    says."""
    for asked in itertools.count(1):
        rule = await pools.of(asker)
        if rule is None:  # it was taken away meanwhile
            break
        try:
            return await stack.enter_async_context(pools.place(rule.name, asker))
        except PoolFullError as error:
            wait = next_delay_ms(step.retry, asked, error, chance(world))
            if wait is None:
                raise
            await world.clock.sleep_ms(wait)
    return Held("", "", 0.0)
