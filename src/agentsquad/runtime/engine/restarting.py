"""The action that has an ended run done again from a step."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine import links, runs
from agentsquad.runtime.engine.contract import Engine, Outcome
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.restart import RestartError, check_input, restarted
from agentsquad.runtime.engine.router import HANDED, HANDED_RUN
from agentsquad.runtime.engine.versions import fits, pins, versions_of


class RestartInput(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """Which run, and from where."""

    run: Annotated[str, Meta(description="id of an ended run, or an unambiguous beginning of it")]
    from_: Annotated[
        str,
        Meta(description="position or name of the step to begin with", examples=["3", "pay"]),
    ]
    reason: Annotated[str, Meta(description="why; kept in the log")]
    again: Annotated[
        bool, Meta(description="send effects once more that were confirmed after that step")
    ] = False
    wait: Annotated[bool, Meta(description="wait until the new run has ended or waits")] = True


@action(
    "runs.restart",
    effect=Effect.WRITE,
    cli=("runs", "restart"),
    positional=("run",),
    examples=("squad runs restart kooa4lnr33 --from 4 --reason 'the bank is back'",),
)
async def restart(ctx: Context, value: RestartInput) -> Outcome:
    """Do an ended run again from a step, as a new run that takes over what came
    before.

    Effects confirmed before the step are never sent again. What follows is
    asked, approved and sent as in any run; an effect that the old run had
    confirmed there needs `--again`.
    """
    check_input(value.from_)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    engine = ctx.port(Engine)  # type: ignore[type-abstract]
    run = await runs.find(store, value.run)
    run = (await links.follow(store, run))[-1]
    journal = await store.read_stream(f"run/{run}")
    events = restarted(run, journal, value.from_, again=value.again)
    following = links.successor(run)
    versions = versions_of(ctx.port(World))
    await versions.refresh()
    version = await versions.newest(journal[0].payload["workflow"])
    manifest = pins(journal)[-1].manifest
    if manifest is not None:
        raise RestartError(
            f"run {run} was moved to another revision of its manifest",
            hint="start it anew: a run goes on under the revision in its own input",
        )
    fits(following, events, version)
    events[0].payload["definition"] = version.workflow.digest
    events[0].payload["restarts"] |= {"reason": value.reason, "by": str(ctx.actor)}
    new = [
        NewEvent(
            stream=event.stream,
            type=event.type,
            payload=event.payload,
            actor=event.actor,
            cause=event.cause,
            correlation=following,
        )
        for event in events
    ]
    told = NewEvent(
        stream=HANDED, type=HANDED_RUN, payload={"run": following}, actor=str(ctx.actor)
    )
    try:
        await store.append([*new, told], expect={f"run/{following}": 0})
    except ConflictError as error:
        raise RestartError(f"run {run} was restarted already, as {following}") from error
    await engine.recover(wait=False)
    if not value.wait:
        return await engine.outcome(following)
    return await runs.watch(ctx, engine, following, until="waiting")
