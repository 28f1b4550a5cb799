"""Actions on resources: apply, get, delete and explain."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.control.collection import refuse_changed
from agentsquad.runtime.control.contract import (
    Applied,
    ApplyInput,
    ApplyOutput,
    Deleted,
    DeleteInput,
    ExplainInput,
    Explanation,
    Expressions,
    GetInput,
    Shipped,
    TextSource,
)
from agentsquad.runtime.control.resource import (
    applied_event,
    deleted_event,
    find,
    kind_named,
    listed,
    plain,
    refuse_doubles,
    refuse_elsewhere,
    refuse_shipped,
    stored,
    with_shipped,
)

WORKFLOW = "AgentWorkflow"


@action(
    "resources.apply",
    effect=Effect.WRITE,
    cli=("apply",),
    examples=("squad apply -f agent.yaml", "squad apply -f agents.yaml --plan -o json"),
    files={"file": "in"},
)
async def apply_resources(ctx: Context, value: ApplyInput) -> ApplyOutput:
    """Make what manifests say desired; all of them, or none.

    Each resource is checked against its kind. One that is stored already
    exactly so is not changed. A workflow that is proven to get stuck, or to
    have steps that never run, is refused (`squad check` shows how it comes
    about). With `plan` nothing is written.
    """
    # Seldom needed: loaded late.
    from agentsquad.kernel.manifest import ManifestError, load
    from agentsquad.runtime.control.net.gate import refuse_stuck

    kinds = ctx.port(Registry).kinds
    source = ctx.port(TextSource)  # type: ignore[type-abstract]
    resources, errors = [], []
    for name in value.file:
        try:
            resources += load(source.read(name), file=name, kinds=kinds)
        except ManifestError as error:
            errors += error.details["errors"]
    if errors:
        raise ManifestError(errors)
    refuse_doubles(resources)
    for resource in resources:
        refuse_elsewhere(ctx, kinds[resource.kind])
        if resource.kind == WORKFLOW:
            refuse_stuck(plain(resource), ctx.port(Expressions))  # type: ignore[type-abstract]
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    applied, events, expect = [], [], {}
    for resource in resources:
        wanted = plain(resource)
        held = await stored(store, resource.kind, resource.metadata.name)
        event = applied_event(wanted, str(ctx.actor))
        changed = held.digest != event.payload["digest"]
        applied.append(Applied(kind=resource.kind, name=resource.metadata.name, changed=changed))
        if changed:
            events.append(event)
            expect[event.stream] = held.version
    if events and not value.plan:
        await store.append(events, expect=expect)
    return ApplyOutput(applied=tuple(applied))


@action(
    "resources.get",
    effect=Effect.READ,
    cli=("get",),
    positional=("kind", "name"),
    examples=("squad get agents", "squad get agent matcher -o yaml"),
)
async def get_resources(ctx: Context, value: GetInput) -> dict[str, Any]:
    """Return a resource as it can be applied again, or all of a kind.

    What ships with the product is there too, with `status.origin` shipped.
    """
    kind = kind_named(ctx.port(Registry).kinds, value.kind)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    shipped = ctx.port(Shipped).resources(kind.name)  # type: ignore[type-abstract]
    if value.name is not None:
        return await find(store, kind.name, value.name, shipped)
    return {"items": with_shipped(await listed(store, kind.name), shipped)}


@action(
    "resources.delete",
    effect=Effect.WRITE,
    cli=("delete",),
    positional=("kind", "name"),
    examples=("squad delete agent matcher",),
)
async def delete_resource(ctx: Context, value: DeleteInput) -> Deleted:
    """Take a resource away; its history stays in the log.

    What ships with the program cannot be taken away, only replaced by one
    applied under its name; deleting that one brings the shipped one back.
    """
    kind = kind_named(ctx.port(Registry).kinds, value.kind)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    shipped = ctx.port(Shipped).resources(kind.name)  # type: ignore[type-abstract]
    refuse_shipped(await find(store, kind.name, value.name, shipped))
    held = await stored(store, kind.name, value.name)
    refuse_changed(value.expect, held.digest)
    event = deleted_event(kind.name, value.name, held.digest, str(ctx.actor))
    await store.append([event], expect={event.stream: held.version})
    return Deleted(kind=kind.name, name=value.name)


@action(
    "resources.explain",
    effect=Effect.PURE,
    cli=("explain",),
    positional=("path",),
    examples=("squad explain Agent", "squad explain agentworkflow.graph.nodes"),
)
async def explain_kind(ctx: Context, value: ExplainInput) -> Explanation:
    """Say what a kind, or a field of it, means and which fields it has."""
    from agentsquad.runtime.control.explain import explain

    name, *path = value.path.split(".")
    return explain(kind_named(ctx.port(Registry).kinds, name), tuple(path))
