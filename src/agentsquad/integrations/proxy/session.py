"""A session as a workflow: requests are taken as they come, and each is sent on
as a step of its own.

What is taken is on the disk before any of it is sent. Where the process ends in
the middle, whoever resumes the run finds nobody who asks: what was open fails,
and the run completes.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.integrations.proxy import delta
from agentsquad.integrations.proxy.contract import FORWARD, TAKE, WORKFLOW, Asked, Forward
from agentsquad.integrations.proxy.delta import Library
from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.engine.contract import WorkflowContext, workflow

AT_ONCE = 200  # requests of one session under way


class SessionInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which session this is and what it records."""

    session: Annotated[str, Meta(description="the session's own random name")]
    program: Annotated[str, Meta(description="what was started, without its arguments")] = ""
    again: Annotated[str, Meta(description="the dead letter that is sent again")] = ""


class SessionOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What a session came to."""

    requests: int
    failed: int


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """Whose requests are taken."""

    session: Annotated[str, Meta(description="the session's own random name")]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that came, in their order; `end` when none will follow."""

    items: list[Asked] = []
    end: bool = False


@workflow(WORKFLOW, uses=(delta,))
async def proxy_session(ctx: WorkflowContext, value: SessionInput) -> SessionOutput:
    """Record what an agent asks of models, and what it is answered."""
    counted = _Counted()

    async def answered(pair: tuple[Asked, Any]) -> None:
        asked, body = pair
        try:
            await ctx.call(FORWARD, forward_of(asked), name=named(asked), facts={"body": body})
        except SquadError:
            counted.failed += 1
        counted.requests += 1

    arriving = _Arriving(ctx, value.session)
    async for _ in ctx.stream(answered, arriving, limit=AT_ONCE, ordered=False):
        pass
    return SessionOutput(requests=counted.requests, failed=counted.failed)


class _Counted:
    """How many requests there were."""

    requests = 0
    failed = 0


class _Arriving:
    """Requests with their whole bodies, one by one."""

    def __init__(self, ctx: WorkflowContext, session: str) -> None:
        self._ctx = ctx
        self._session = session
        self._waiting: list[Asked] = []
        self._end = False
        self._library = Library()

    def __aiter__(self) -> _Arriving:
        return self

    async def __anext__(self) -> tuple[Asked, Any]:
        while not self._waiting:
            if self._end:
                raise StopAsyncIteration
            taken: Taken = await self._ctx.call(TAKE, Take(session=self._session), name="take")
            self._waiting, self._end = list(taken.items), taken.end
        asked = self._waiting.pop(0)
        return asked, whole(self._library, asked)


def whole(library: Library, asked: Asked) -> Any:
    """Return the whole body of a request, and keep it for those that follow."""
    if asked.body is None:
        return None
    body = library.restore(asked.body)
    library.add(asked.n, body)
    return body


def forward_of(asked: Asked) -> Forward:
    """Return what policy is asked about a request."""
    return Forward(
        n=asked.n,
        api=asked.api,
        digest=asked.digest,
        size=asked.size,
        model=asked.model,
        stream=asked.stream,
        max_tokens=asked.max_tokens,
        quote=asked.quote,
    )


def named(asked: Asked) -> str:
    """Return how a request is called in views of the run."""
    return f"{asked.n} {asked.api} {asked.model}".rstrip()[:120]
