"""Rules: plain Python functions that answer where a model could.

Deterministic, free and explainable, so they are what agents run on where no
model is configured. A rule is quick and pure: it runs on the event loop, and
nothing interrupts it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from agentsquad.integrations.connectors.ai.contract import ModelMissingError, RuleFailedError
from agentsquad.integrations.connectors.ai.short import FREE, Short, as_reply, chunks_of
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import nearest
from agentsquad.workforce.agents.contract import Chunk, ModelReply, ModelRequest

Rule = Callable[[ModelRequest], Short]


class RulesModel:
    """A Model. The request's model is the name of the rule; the answer costs
    nothing.
    """

    def __init__(self, rules: Mapping[str, Rule], *, provider: str = "rules") -> None:
        self.provider = provider
        self.rules = dict(rules)

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Ask the rule; an error of ours passes, any other is
        RuleFailedError.
        """
        rule = self.rules.get(request.model)
        if rule is None:
            raise ModelMissingError(
                f"no rule named {request.model!r}", hint=nearest(request.model, self.rules)
            )
        try:
            answer = rule(request)
        except SquadError:
            raise
        except Exception as error:
            raise RuleFailedError(
                f"the rule {request.model!r} failed with {type(error).__name__}: {error}",
                hint="a rule answers every request; report it with the request",
            ) from error
        return as_reply(answer, request.model, FREE)

    async def stream(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> AsyncIterator[Chunk]:
        """Give the answer word by word."""
        for chunk in chunks_of(await self.complete(request, deadline_ms=deadline_ms)):
            yield chunk
