"""Attempt: each single try passes its breaker; a read that takes long is made a
second time, and the first good answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.engine.door import Proceed, Step, World, only
from agentsquad.runtime.resilience.guard import Call, Guard, Guards


@only(lambda spec: spec.effect is not Effect.PURE, lambda spec, ports: ports.has(Guards))
def attempt(world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
    """Make the call, watched."""
    live: Guard | None = step.guard
    if live is None:
        return proceed(step)
    after = None if step.action.spec.effect.outward else live.hedge_after_ms()
    if after is None:
        return _watched(live, step, proceed)
    return _hedged(world, live, step, proceed, after)


async def _watched(live: Guard, step: Step, proceed: Proceed) -> Any:
    call = Call(step.run or "", step.position)
    return await live.watch(call, step.usage, lambda: proceed(step))


async def _hedged(world: World, live: Guard, step: Step, proceed: Proceed, after: float) -> Any:
    """Return the first good answer of two calls; the other is cancelled."""
    first = asyncio.ensure_future(_watched(live, step, proceed))
    alarm = asyncio.ensure_future(world.clock.sleep_ms(after))
    calls: set[asyncio.Future[Any]] = {first}
    try:
        await asyncio.wait((first, alarm), return_when=asyncio.FIRST_COMPLETED)
        if first.done() or not live.may_hedge():
            return await first
        calls.add(asyncio.ensure_future(_watched(live, step, proceed)))
        step.notes["hedged"] = True
        pending = set(calls)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for one in sorted(done, key=lambda one: one is not first):
                if not one.cancelled() and one.exception() is None:
                    return one.result()
        return await first
    finally:
        alarm.cancel()
        for one in calls:
            one.cancel()
        for one in calls:
            with suppress(asyncio.CancelledError, SquadError):
                await one
