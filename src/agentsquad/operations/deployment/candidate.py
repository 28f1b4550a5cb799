"""Candidates: what a file, a folder, a manifest or an older version is, ready
to be deployed."""

from __future__ import annotations

import platform
from collections.abc import Collection, Sequence

import msgspec

from agentsquad import __version__
from agentsquad.kernel import manifest
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.kernel.resource import Resource
from agentsquad.operations.deployment.check import Target, open_of
from agentsquad.operations.deployment.contract import (
    DeploymentMissingError,
    Loader,
    OfferError,
    Source,
    SourceFiles,
)
from agentsquad.operations.deployment.deploy import Candidate
from agentsquad.operations.deployment.stored import Made, Shelf, StoredDeployments, short
from agentsquad.runtime.control.contract import TextSource
from agentsquad.runtime.control.interpret import NAME, spec_digest
from agentsquad.runtime.control.manifests import KIND, revisions
from agentsquad.runtime.control.resource import (
    applied_event,
    plain,
    refuse_doubles,
    stored,
)
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.versions import Version, Versions, pins, revised, versions_of
from agentsquad.runtime.ledger.contract import Ledger

OWN = ("agent-turn", NAME)  # what the program itself runs agents and manifests by
MANIFESTS = (".yaml", ".yml", ".json")


async def read(ctx: Context, file: str, versions: Versions, shelf: Shelf) -> list[Candidate]:
    """Return what a file holds: one candidate, or one for each workflow of a
    manifest."""
    if file.endswith(MANIFESTS):
        return await manifests(ctx, file, shelf)
    source = ctx.port(SourceFiles).read(file)  # type: ignore[type-abstract]
    plugin = ctx.port(Loader).load(source)  # type: ignore[type-abstract]
    return [python(source, plugin, ctx.port(Registry), versions, shelf)]


def python(
    source: Source, plugin: Plugin, registry: Registry, versions: Versions, shelf: Shelf
) -> Candidate:
    """Return code as a candidate; OfferError when it cannot stand beside what
    is there."""
    offered = [workflow.name for workflow in plugin.workflows]
    _refuse(plugin, registry, offered)
    name = _name(plugin, shelf, offered)
    home = versions.mounted(plugin, source.digest)
    current = shelf.current(name)
    gone = [one for one in (current.workflows if current else ()) if one not in offered]

    def version(workflow: str) -> Version | None:
        if workflow not in offered:
            return None
        return Version(home.world.registry.workflow(workflow), home)

    return Candidate(
        name=name,
        kind="python",
        digest=source.digest,
        target=Target([*offered, *gone], version),
        body={
            "entry": source.entry,
            "workflows": offered,
            "actions": [action.name for action in plugin.actions],
            "python": platform.python_version(),
            "program": __version__,
        },
        files=source.files,
        current=current.digest if current and current.kind == "python" else None,
    )


def _name(plugin: Plugin, shelf: Shelf, offered: Sequence[str]) -> str:
    """Return the deployment that this is a version of: the one that has its
    workflows, whatever the file is called; else a new one."""
    owners = {owner.name for one in offered if (owner := shelf.owner(one)) is not None}
    if len(owners) > 1:
        raise OfferError(
            f"its workflows are deployed by {' and '.join(sorted(owners))}",
            hint="deploy each with those it was deployed with",
        )
    taken = shelf.newest
    for name in (*owners, plugin.name, offered[0], f"{plugin.name}-{offered[0]}"):
        if name in owners or name not in taken:
            return name
    raise OfferError(f"there is another deployment {plugin.name!r}", hint="give its plugin a name")


def _refuse(plugin: Plugin, registry: Registry, offered: Collection[str]) -> None:
    for workflow in offered:
        if workflow in OWN:
            raise OfferError(
                f"the workflow {workflow!r} is the program's own", hint="choose another name"
            )
    for action in plugin.actions:
        if action.name in registry.actions:
            raise OfferError(
                f"the action {action.name!r} is installed, and no deployment can replace it",
                hint="choose another name; a workflow may call installed actions by theirs",
            )


async def manifests(ctx: Context, file: str, shelf: Shelf) -> list[Candidate]:
    """Return a candidate for each workflow of a manifest file; what else the
    file holds is applied with the first."""
    registry = ctx.port(Registry)
    text = ctx.port(TextSource).read(file)  # type: ignore[type-abstract]
    resources = manifest.load(text, file=file, kinds=registry.kinds)
    refuse_doubles(resources)
    flows = [one for one in resources if one.kind == KIND]
    if not flows:
        raise OfferError(
            f"{file} holds no {KIND}", hint="squad apply -f takes resources of any other kind"
        )
    others = [one for one in resources if one.kind != KIND]
    found = []
    for flow in flows:
        found.append(await _manifest(ctx, flow, others, shelf))
        others = []
    return found


async def _manifest(
    ctx: Context, flow: Resource, others: Collection[Resource], shelf: Shelf
) -> Candidate:
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    name = flow.metadata.name
    events, expect = [], {}
    for one in (flow, *others):
        held = await stored(store, one.kind, one.metadata.name)
        event = applied_event(plain(one), str(ctx.actor))
        if held.digest != event.payload["digest"]:
            events.append(event)
            expect[event.stream] = held.version
    held = await stored(store, KIND, name)
    current = None if held.resource is None else spec_digest(held.resource["spec"])
    digest = spec_digest(flow.spec)
    installed = ctx.port(Registry).workflow(NAME)
    workflow = revised(installed, {"spec": flow.spec, "digest": digest})

    def version(_: str) -> Version:
        return Version(workflow, versions_of(ctx.port(World)).installed, digest)

    return Candidate(
        name=name,
        kind="manifest",
        digest=digest,
        target=Target([NAME], version, name),
        body={"workflows": [name]},
        also=events,
        expect=expect,
        current=current,
    )


async def older(
    ctx: Context, made: Made, versions: Versions, deployments: StoredDeployments
) -> Candidate:
    """Return a version that was deployed before as a candidate."""
    shelf = deployments.shelf
    if made.kind == "python":
        source = await deployments.source(made)
        loaded = await deployments.load(made.digest)
        return python(source, loaded.plugin, ctx.port(Registry), versions, shelf)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    spec = (await revisions(store, made.name)).get(made.digest)
    if spec is None:
        raise DeploymentMissingError(
            f"revision {short(made.digest)} of {made.name} is not in the log any more"
        )
    held = await stored(store, KIND, made.name)
    if held.resource is None:
        raise MissingError(
            f"{made.name} was deleted", code="resource.missing", hint="apply it again"
        )
    flow = msgspec.convert({**held.resource, "spec": spec}, Resource)
    return await _manifest(ctx, flow, (), shelf)


async def revisions_open(ctx: Context) -> list[str]:
    """Return the revision that each open run of a manifest runs."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    ledger = ctx.port(Ledger)
    found = []
    async for run in open_of(ledger, NAME):
        events = await store.read_stream(f"run/{run}")
        if events and events[0].payload is not None:
            own = events[0].payload["input"].get("digest", "")
            found.append(pins(events)[-1].manifest or own)
    return found
