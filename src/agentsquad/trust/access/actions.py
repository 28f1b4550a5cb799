"""Actions on namespaces: list, create and delete them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.trust.access.contract import (
    RESERVED,
    NamespaceBusyError,
    NamespaceExistsError,
    NamespaceReservedError,
    Namespaces,
    NamespaceUnconfirmedError,
)
from agentsquad.trust.access.namespace import (
    STREAM,
    Namespace,
    check_name,
    created_event,
    deleted_event,
    missing,
    recorded,
    there,
)

SHOWN_MAX = 3  # open runs that an error names
Name = Annotated[str, Meta(description="name of the namespace, a DNS label", examples=["acme"])]


class ListInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which namespaces."""

    all: Annotated[bool, Meta(description="those that were deleted too")] = False


class NamespaceList(msgspec.Struct, frozen=True, kw_only=True):
    """Namespaces, the two that are always there first."""

    items: tuple[Namespace, ...]


@action(
    "namespaces.list",
    effect=Effect.READ,
    realm="system",
    examples=("squad namespaces list", "squad namespaces list --all -o json"),
)
async def list_namespaces(ctx: Context, value: ListInput) -> NamespaceList:
    """List the namespaces of this installation."""
    known = await recorded(ctx.port(EventStore))  # type: ignore[type-abstract]
    gone = [known[name] for name in sorted(known) if known[name].deleted] if value.all else []
    return NamespaceList(items=(*there(known), *gone))


class CreateInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to create."""

    name: Name
    description: Annotated[str, Meta(description="whose it is, or what for", max_length=500)] = ""


@action(
    "namespaces.create",
    effect=Effect.WRITE,
    realm="system",
    positional=("name",),
    examples=("squad namespaces create acme --description 'ACME Ltd.'",),
)
async def create_namespace(ctx: Context, value: CreateInput) -> Namespace:
    """Create a namespace: a log, keys, budgets and policies of its own.

    Nothing in it can be seen from another one. A name is never used twice, not
    even after its namespace was deleted.
    """
    name = check_name(value.name)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    before = (await recorded(store)).get(name)
    if before is not None or name in RESERVED:
        was = f"was deleted on {before.deleted[:10]}" if before and before.deleted else "is there"
        raise NamespaceExistsError(
            f"the namespace {name!r} {was}", hint="choose another name: none is used twice"
        )
    [event] = await store.append(
        [created_event(name, value.description, str(ctx.actor))], expect={STREAM + name: 0}
    )
    await ctx.port(Namespaces).make(name)  # type: ignore[type-abstract]
    return Namespace(name=name, created=event.time, by=event.actor, description=value.description)


class DeleteInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to delete, said twice."""

    name: Name
    yes: Annotated[str, Meta(description="the name again: it is for good", examples=["acme"])] = ""


@action(
    "namespaces.delete",
    effect=Effect.IRREVERSIBLE,
    realm="system",
    positional=("name",),
    examples=("squad namespaces delete acme --yes acme",),
)
async def delete_namespace(ctx: Context, value: DeleteInput) -> Namespace:
    """Delete a namespace for good; runs must have ended.

    From then on nobody can open it, and its name is never given again. Its log
    stays where it is, so that what was proven can still be checked: `squad
    --home HOME/namespaces/NAME log verify`. Whoever must not keep it removes
    the folder or the schema afterwards.
    """
    name = check_name(value.name)
    if name in RESERVED:
        raise NamespaceReservedError(f"the namespace {name!r} is always there")
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    known = await recorded(store)
    if name not in known or known[name].deleted:
        raise missing(name, [one.name for one in there(known)])
    if value.yes != name:
        raise NamespaceUnconfirmedError(
            f"the namespace {name!r} would be deleted for good",
            hint=f"squad namespaces delete {name} --yes {name}",
        )
    namespaces = ctx.port(Namespaces)  # type: ignore[type-abstract]
    async with namespaces.lease(name) as place:
        opened = await open_runs(place.world.store)
    if opened:
        more = "…" if len(opened) > SHOWN_MAX else ""
        raise NamespaceBusyError(
            f"{len(opened)} runs of {name!r} have not ended: {', '.join(opened[:SHOWN_MAX])}{more}",
            hint=f"squad --namespace {name} runs list; cancel them, or wait",
            details={"runs": len(opened)},
        )
    version = dict(await store.streams(STREAM + name)).get(STREAM + name, 0)
    [event] = await store.append(
        [deleted_event(name, str(ctx.actor))], expect={STREAM + name: version}
    )
    await namespaces.retire(name)
    return msgspec.structs.replace(known[name], deleted=event.time)


async def open_runs(store: EventStore) -> list[str]:
    """Return the runs of a log that have not ended."""
    found: dict[str, None] = {}
    after = 0
    while batch := await store.read(after=after, limit=5000, types=("run.started", *END_EVENTS)):
        for event in batch:
            run = event.stream.removeprefix("run/")
            if event.type == "run.started":
                found[run] = None
            else:
                found.pop(run, None)
        after = batch[-1].seq
    return list(found)
