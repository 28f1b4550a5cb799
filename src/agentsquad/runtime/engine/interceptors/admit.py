"""Admit: the kill switch and the budgets have their say before anything is
spent or sent."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.action import Effect
from agentsquad.runtime.engine.contract import HaltedError
from agentsquad.runtime.engine.door import Proceed, Step, World
from agentsquad.runtime.engine.gate import Gate


async def admit(world: World, step: Step, proceed: Proceed) -> Any:
    """Refuse while halted; reserve what the call may cost and settle what it
    did cost."""
    if step.action.spec.effect is Effect.PURE:
        return await proceed(step)
    gate = world.ports.get(Gate)
    if step.action.spec.effect.outward and await gate.halted():
        raise HaltedError(
            f"{step.action.name} is refused: the kill switch is on ({gate.reason})",
            hint="squad resume-effects --reason … lifts it",
        )
    return await proceed(step)
