"""The action that checks what protects an installation."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import EventStore
from agentsquad.trust.threats.check import Check, Surroundings, run_checks
from agentsquad.trust.threats.contract import Shield
from agentsquad.trust.threats.shield import SquadShield


class CheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to check."""

    security: Annotated[
        bool, Meta(description="what protects; there is nothing else to check yet")
    ] = True


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Every check; `valid` where none failed."""

    valid: bool
    passed: int
    failed: int
    checks: tuple[Check, ...]


@action(
    "threats.check",
    effect=Effect.READ,
    realm="system",
    cli=("doctor",),
    local="it looks at the files of the machine it is called on",
    examples=("squad doctor --security",),
)
async def check_protection(ctx: Context, value: CheckInput) -> Checked:
    """Try what protects this installation, and say what failed.

    Policy, files, bounds, limits, suspicion and attack rules are each tried
    with a request that must be refused. Exit code 2 when a check failed.
    """
    shield = ctx.port(Shield)  # type: ignore[type-abstract]
    assert isinstance(shield, SquadShield), "the shield of this distribution"
    await shield.refresh(ctx.port(EventStore))  # type: ignore[type-abstract]
    checks = run_checks(
        shield.twin(),
        ctx.port(PolicyEngine),  # type: ignore[type-abstract]
        ctx.port(Surroundings),  # type: ignore[type-abstract]
    )
    failed = sum(one.state == "failed" for one in checks)
    return Checked(
        valid=not failed,
        passed=sum(one.state == "passed" for one in checks),
        failed=failed,
        checks=checks,
    )
