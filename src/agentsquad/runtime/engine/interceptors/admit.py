"""Admit: the kill switch and the budgets have their say before anything is
spent.

What a call can cost at most is reserved for its root run, its action, its agent
and the tenant before it is made, and settled with what it did cost; where
nobody set a budget this costs nothing. A crash leaves the reservation: the
resumed step finds it by the same key, lets it count as spent, and reserves
anew; an effect that had left is found out about even where that is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any

from agentsquad.kernel.action import ActionSpec, Effect
from agentsquad.kernel.errors import LimitError
from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.contract import HaltedError
from agentsquad.runtime.engine.door import Proceed, Step, World, only
from agentsquad.runtime.engine.gate import Gate
from agentsquad.runtime.resilience.budget import Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper
from agentsquad.runtime.resilience.contract import Appraiser, Quote


@only(
    lambda spec: spec.effect is not Effect.PURE,
    lambda spec, ports: spec.effect.outward or ports.has(Appraiser),
)
def admit(world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
    """Refuse while halted; reserve what the call may cost, settle what it
    did."""
    spec = step.action.spec
    if not spec.effect.outward:
        quote = world.ports.get(Appraiser).appraise(spec.name, step.value)
        return proceed(step) if quote is None else _within_budget(world, step, proceed, quote)
    return _admitted(world, step, proceed, spec)


async def _admitted(world: World, step: Step, proceed: Proceed, spec: ActionSpec) -> Any:
    if step.run is not None and not left(step):
        await refuse_halted(world, step)
    quote = None
    if world.ports.has(Appraiser):
        quote = world.ports.get(Appraiser).appraise(spec.name, step.value)
    if quote is None:
        return await proceed(step)
    return await _within_budget(world, step, proceed, quote)


async def refuse_halted(world: World, step: Step) -> None:
    """Raise HaltedError while the kill switch is on."""
    gate = world.ports.get(Gate)
    if await gate.halted():
        raise HaltedError(
            f"{step.action.name} is refused: the kill switch is on ({gate.reason})",
            hint="squad lift --reason … turns it off",
        )


async def _within_budget(world: World, step: Step, proceed: Proceed, quote: Quote) -> Any:
    request = Request(
        id=step.idempotency_key if step.run else world.entropy.token(16).hex(),
        currency=quote.currency,
        micros=quote.micros,
        scopes=scopes(step),
        at_ms=world.clock.now_ms(),
        actor=str(step.actor),
    )
    keeper: BudgetKeeper = world.ports.get(BudgetKeeper)
    async with AsyncExitStack() as held:
        try:
            hold = await held.enter_async_context(keeper.hold(request))
        except LimitError:
            if not left(step):
                raise
            return await proceed(step)  # what it held before counts as spent
        output = await proceed(step)
        hold.settle(spent(step, quote.currency))
        return output


def left(step: Step) -> bool:
    """Whether an effect has left in an earlier life of its run: what became of
    it must be found out, and no refusal of ours can say it did not happen."""
    return step.effect is not None and step.effect.status in ("sent", "ambiguous")


def scopes(step: Step) -> tuple[str, ...]:
    """Return whose budgets a step draws on."""
    found = [f"step:{step.action.name}", "tenant:default"]
    if step.correlation:
        found.insert(0, f"run:{step.correlation}")
    if step.actor.kind == "agent":
        found.append(f"agent:{step.actor.name}")
    return tuple(found)


def spent(step: Step, currency: str) -> Money | None:
    """Return what a step metered; None when any part has no known price."""
    total = 0
    for usage in step.usage:
        if "cost_micros" not in usage:
            continue
        if usage["cost_micros"] is None or usage.get("currency", currency) != currency:
            return None
        total += usage["cost_micros"]
    return Money(total, currency)
