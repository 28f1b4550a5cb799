"""Actions of A2A: look at runs as tasks, and at what may be asked for."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine import runs
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.decider import plain
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.surfaces.a2a.contract import WORKFLOW, WORKING, TaskMissingError
from agentsquad.surfaces.a2a.task import Told, task_of, told
from agentsquad.surfaces.gateway.operation import Operation, operations

HIDDEN = (WORKFLOW, "agent-turn")


class TaskInput(msgspec.Struct, kw_only=True):
    """Which task."""

    task: Annotated[str, Meta(description="id of the task: of its run")]
    history: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="how many messages at most")
    ] = None
    at: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="as it stood after this event of the log"),
    ] = None


@action("a2a.task", effect=Effect.READ, cli=("a2a", "task"), positional=("task",))
async def show(ctx: Context, value: TaskInput) -> dict[str, Any]:
    """Show a run as a task of A2A: its state, messages and artifacts."""
    found = await described(ctx, value.task, value.at)
    return {"seq": found.seq, "task": task_of(found, history=value.history)}


class ListInput(msgspec.Struct, kw_only=True):
    """Which tasks."""

    context: Annotated[str, Meta(description="only of this conversation")] = ""
    state: Annotated[str, Meta(description="only in this state")] = ""
    after: Annotated[str, Meta(description="only those that changed later than this")] = ""
    cursor: Annotated[str, Meta(description="go on after this one")] = ""
    limit: Annotated[int, Meta(description="how many at most", ge=1, le=100)] = 50
    history: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="how many messages at most")
    ] = None
    artifacts: Annotated[bool, Meta(description="with what came of them")] = False


SEEN_MAX = 2000  # newest tasks among which are looked for


@action("a2a.tasks", effect=Effect.READ, cli=("a2a", "tasks"))
async def tasks(ctx: Context, value: ListInput) -> dict[str, Any]:
    """List runs as tasks of A2A, those that changed last first."""
    chosen = await runs.listed(ctx.port(Ledger), runs.Filter(workflow=WORKFLOW), limit=SEEN_MAX)
    found = [await described(ctx, one.run) for one in chosen]
    found.sort(key=lambda one: (one.at, one.run), reverse=True)
    fitting = [one for one in found if _fits(one, value)]
    start = 0
    if value.cursor:
        at, _, run = value.cursor.partition("/")
        start = next((n for n, one in enumerate(fitting) if (one.at, one.run) < (at, run)), 10**9)
    page = fitting[start : start + value.limit]
    more = start + value.limit < len(fitting)
    return {
        "tasks": [task_of(one, history=value.history, artifacts=value.artifacts) for one in page],
        "nextPageToken": f"{page[-1].at}/{page[-1].run}" if more else "",
        "pageSize": value.limit,
        "totalSize": len(fitting),
    }


def _fits(one: Told, value: ListInput) -> bool:
    return (
        (not value.context or one.context == value.context)
        and (not value.state or one.state == value.state)
        and (not value.after or one.at > value.after)
    )


async def described(ctx: Context, run: str, at: int | None = None) -> Told:
    """Return what is known of a task, now or after an event of the log."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    events = await store.read_stream(f"run/{run}")
    body = events[0].payload if events else None
    if not isinstance(body, dict) or body.get("workflow") != WORKFLOW:
        raise TaskMissingError(f"no task {run[:100]!r}")
    known = [event for event in events if at is None or event.seq <= at]
    found = told(run, known)
    if found.state == WORKING and len(known) == len(events):
        waiting = await ctx.port(Engine).inbox(run)  # type: ignore[type-abstract]
        asked = [f"a person has to decide ({one.kind}): {one.action}" for one in waiting]
        found = told(run, events, asked)
    return found


class SkillsInput(msgspec.Struct, kw_only=True):
    """Which skills."""

    actions: Annotated[bool, Meta(description="single actions too")] = False


class Skill(msgspec.Struct, kw_only=True):
    """One thing that may be asked for."""

    id: str
    name: str
    description: str
    tags: list[str]


class Skills(msgspec.Struct, kw_only=True):
    """What may be asked for, by name."""

    items: list[Skill]


def is_skill(operation: Operation) -> bool:
    """Whether an action is one that an agent of another system may ask for: not
    what a person answers, nor what concerns the whole installation."""
    room = operation.action.partition(".")[0]
    return (
        not operation.local and operation.realm == "namespace" and room not in ("approvals", "a2a")
    )


def _of_action(operation: Operation) -> Skill:
    return Skill(
        id=f"action:{operation.action}",
        name=operation.action,
        description=f"{operation.summary} {operation.description}".strip()[:1024],
        tags=["action", operation.effect],
    )


@action("a2a.skills", effect=Effect.READ, cli=("a2a", "skills"))
async def skills(ctx: Context, value: SkillsInput) -> Skills:
    """List agents and workflows as skills of A2A, and single actions where
    they are asked for."""
    found = [
        Skill(
            id=f"workflow:{name}",
            name=name,
            description=one.summary or name,
            tags=["workflow"],
        )
        for name, one in sorted(ctx.port(Registry).workflows.items())
        if name not in HIDDEN
    ]
    agents = await ctx.call("resources.get", {"kind": "Agent"})
    for agent in plain(agents).get("items", []):
        spec, name = agent["spec"], agent["metadata"]["name"]
        found.append(
            Skill(
                id=f"agent:{name}", name=name, description=spec.get("role") or name, tags=["agent"]
            )
        )
    if value.actions:
        found += [_of_action(one) for one in operations(ctx.port(Registry)) if is_skill(one)]
    return Skills(items=sorted(found, key=lambda one: one.id))
