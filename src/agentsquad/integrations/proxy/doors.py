"""Doors of a server: who answers for whom, in which namespace.

A server that has recognised a caller asks here for what answers: sessions of
the caller's own, in the log of the caller's namespace. Whoever may not start
agents there is refused before anything is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from agentsquad.integrations.proxy.answering import LiveAnswerer
from agentsquad.integrations.proxy.contract import Answerer
from agentsquad.integrations.proxy.serving import Sessions, context_of
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeniedError
from agentsquad.kernel.policy import Question
from agentsquad.runtime.engine.door import World
from agentsquad.workforce.agents.contract import AgentCatalogue

START = "proxy.run"


class Doors:
    """The open sessions of a server's callers."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], tuple[World, Sessions]] = {}

    async def answerer(self, world: World, actor: Actor) -> Answerer:
        """Return who answers an actor's requests in a namespace's world;
        DeniedError if policy does not let the actor start agents there."""
        decision = world.policy.decide(
            Question(actor=str(actor), roles=actor.roles, action=START, effect="write", input={})
        )
        if not decision.allow:
            raise DeniedError(
                f"{actor} may not use the proxy: {decision.reason}",
                code="policy.denied",
                details={"clauses": list(decision.clauses), "revision": decision.revision},
            )
        key = (id(world), str(actor))
        if key not in self._open:
            self._open[key] = (world, Sessions(context_of(world, actor), str(actor)))
            await _read_providers(world)
        return LiveAnswerer(None, self._open[key][1].session)

    async def close(self) -> None:
        """End every session: what was asked is answered first."""
        opened = [sessions for _, sessions in self._open.values()]
        self._open.clear()
        await asyncio.gather(*(sessions.close() for sessions in opened))


async def _read_providers(world: World) -> None:
    """Have the model providers of the namespace read from its log."""
    refresh = getattr(world.ports.get(AgentCatalogue), "refresh", None)
    if refresh is not None:
        await refresh()


def as_bearer(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers in which the key that Anthropic's clients show stands
    where every other client's does."""
    key = headers.get("x-api-key")
    if not key or "authorization" in headers:
        return dict(headers)
    return {**headers, "authorization": f"Bearer {key}"}
