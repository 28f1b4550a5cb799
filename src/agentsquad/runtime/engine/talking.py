"""Talking about questions: `squad ask` and `squad delegate`.

Neither answers: what people say stands beside the question in the inbox and in
the log, with who said it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.runtime.engine.actions import described
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.inbound.contract import InboxItem


class AskInput(msgspec.Struct, kw_only=True):
    """What to say about a question."""

    item: Annotated[str, described("id of the question, from squad inbox")]
    text: Annotated[str, described("what to ask or say; kept in the log", "which order is this?")]


@action("approvals.ask", effect=Effect.WRITE, cli=("ask",), positional=("item", "text"))
async def ask(ctx: Context, value: AskInput) -> InboxItem:
    """Ask or say something about what waits in the inbox, before anybody
    answers it; it stays open."""
    return await ctx.port(Engine).discuss(  # type: ignore[type-abstract]
        value.item, value.text, actor=ctx.actor
    )


class DelegateInput(msgspec.Struct, kw_only=True):
    """Whom to hand a question to."""

    item: Annotated[str, described("id of the question, from squad inbox")]
    to: Annotated[str, described("the person who is to answer", "person:grace")]
    reason: Annotated[str, described("why; kept in the log", "away until Monday")]


@action("approvals.delegate", effect=Effect.WRITE, cli=("delegate",), positional=("item",))
async def delegate(ctx: Context, value: DelegateInput) -> InboxItem:
    """Hand a question that one may answer to somebody else, who may answer it
    then too.

    It stays open to all who may answer. Whoever asked for it cannot be the one.
    """
    to = value.to if ":" in value.to else f"person:{value.to}"
    return await ctx.port(Engine).discuss(  # type: ignore[type-abstract]
        value.item, value.reason, actor=ctx.actor, to=to
    )
