"""Actions of explain: why."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.pointer import walk
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.determinism.past import load
from agentsquad.runtime.engine import runs
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.links import follow
from agentsquad.runtime.engine.versions import world_of
from agentsquad.workforce.explain.breaker import BREAKER, why_breaker
from agentsquad.workforce.explain.contract import ContinuedError, DocumentMissingError, Why
from agentsquad.workforce.explain.why import Inquiry


class WhyInput(msgspec.Struct, kw_only=True):
    """What is asked about."""

    subject: Annotated[
        str,
        Meta(
            description="a run, the number of a document that a run dealt with, or a breaker",
            examples=["INV-1001", "breaker:bank"],
        ),
    ]


@action(
    "explain.why",
    effect=Effect.READ,
    cli=("why",),
    positional=("subject",),
    examples=("squad why INV-1001", "squad why breaker:bank"),
)
async def why(ctx: Context, value: WhyInput) -> Why:
    """Say why a run or document came out as it did, or a breaker opened.

    The answer in one line, the steps it rests on, and the smallest change of
    the input that would have changed it. Each is found by driving the run again
    with that one thing different; effects cannot leave and paid models are not
    asked.
    """
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    if value.subject.startswith(BREAKER):
        return await why_breaker(store, value.subject.removeprefix(BREAKER))
    run, document = await subject(store, value.subject)
    past = await load(store, run)
    if past is None or past.status == "running":
        raise MissingError(
            f"run {run} has not ended yet", code="why.open", hint=f"squad runs show {run}"
        )

    if past.status == "continued":
        last = (await follow(store, run))[-1]
        raise ContinuedError(
            f"run {run} came to nothing of its own: it went on as new, at last as {last}",
            hint=f"squad why {last}",
        )

    def tell(text: str, done: int, total: int) -> None:
        ctx.progress(text, done=done, total=total)

    world = await world_of(ctx.port(World), past.run)
    return await Inquiry(world, past, document, tell).answer()


async def subject(store: EventStore, text: str) -> tuple[str, str | None]:
    """Return (run, document) for what was asked about.

    A document belongs to the smallest run whose input or output names it.
    """
    try:
        return await runs.find(store, text), None
    except MissingError:
        pass
    best: tuple[int, int, str] | None = None
    async for event in runs.events_of(store, None):
        if event.type not in ("run.started", "run.completed"):
            continue
        body = event.payload or {}
        if body.get("workflow") == "agent-turn":
            continue
        leaves = [leaf for _, leaf in walk(body.get("input") or body.get("output"))]
        if text in leaves and event.type == "run.started":
            rank = (len(leaves), -event.seq, event.stream.removeprefix("run/"))
            best = rank if best is None or rank < best else best
    if best is None:
        raise DocumentMissingError(
            f"no run and no document {text!r}", hint="squad runs list --all shows runs"
        )
    return best[2], text
