"""Asking policy from a workflow: the two steps behind `ctx.decide` and
`ctx.query`.

They are reads, so a replay takes the recorded Decision and never asks again.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.policy import Decision, PolicyEngine, Question
from agentsquad.kernel.registry import Registry


class DecideInput(msgspec.Struct, kw_only=True):
    """The action a workflow wants to know about."""

    action: Annotated[str, Meta(description="name of the action")]
    input: Annotated[Any, Meta(description="what it would be called with")] = None
    facts: Annotated[dict[str, Any], Meta(description="what the workflow adds")] = {}


@action("policy.decide", effect=Effect.READ, cli=())
def decide(ctx: Context, value: DecideInput) -> Decision:
    """Ask policy whether this run's actor may call an action, and on what
    conditions."""
    known = ctx.port(Registry).actions.get(value.action)
    return ctx.port(PolicyEngine).decide(  # type: ignore[type-abstract]
        Question(
            actor=str(ctx.actor),
            roles=ctx.actor.roles,
            action=value.action,
            effect=known.spec.effect.value if known else "write",
            input=value.input,
            facts=value.facts,
        )
    )


class QueryInput(msgspec.Struct, kw_only=True):
    """A rule and what it is asked about."""

    path: Annotated[str, Meta(description="the rule, beginning with data")]
    input: Annotated[Any, Meta(description="what it reads as input")] = None


@action("policy.query", effect=Effect.READ, cli=())
def query(ctx: Context, value: QueryInput) -> Any:
    """Evaluate one policy rule, for example `data.p2p.matching.result`."""
    return ctx.port(PolicyEngine).query(value.path, value.input)  # type: ignore[type-abstract]
