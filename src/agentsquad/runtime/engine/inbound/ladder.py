"""Ladders: who is asked next when nobody answers.

Pure. Laws: rungs rise in time; each is reached at most once, in order; who may
answer at a level is fixed when the question is asked, so that no later change
of the code can widen it; the ladder ends before the question expires.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentsquad.runtime.engine.inbound.contract import Escalation, EscalationError, Rung


def ladder(
    steps: Sequence[Escalation], roles: tuple[str, ...], now_ms: int, end_ms: int | None
) -> tuple[Rung, ...]:
    """Return the rungs of a question asked now of some roles."""
    rungs: list[Rung] = []
    last = now_ms
    for step in steps:
        due = now_ms + step.after_ms
        if due <= last or not step.roles or (end_ms is not None and due >= end_ms):
            raise EscalationError(
                f"a rung after {step.after_ms} ms to {', '.join(step.roles) or 'nobody'}",
                hint="rungs rise in after_ms, each names roles, and all come before expires_ms",
            )
        kept = [role for role in roles if step.keep and role not in step.roles]
        roles = (*kept, *step.roles)
        rungs.append(Rung(due_ms=due, roles=roles, because=step.because))
        last = due
    return tuple(rungs)


def wake(rungs: Sequence[Rung], level: int, end_ms: int | None) -> int | None:
    """Return when a wait that stands at a level is to be woken next."""
    return rungs[level].due_ms if level < len(rungs) else end_ms


def reached(position: str, rungs: Sequence[Rung], level: int, end_ms: int | None) -> dict[str, Any]:
    """Return the payload of wait.escalated: the rung above `level` is
    reached."""
    rung = rungs[level]
    return {
        "position": position,
        "level": level + 1,
        "roles": list(rung.roles),
        "because": rung.because,
        "wake_ms": wake(rungs, level + 1, end_ms),
    }
