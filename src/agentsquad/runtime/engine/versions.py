"""Versions: which code a run runs.

A run is pinned to the digest it began with, or was last moved to; a run that
begins takes the newest version deployed, else the installed one; a child run
takes the version of its parent where that offers it. Several versions serve
side by side, each in a world of its own: its actions, its rules, and the log
and clock of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import msgspec

from agentsquad.kernel.errors import MissingError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.registry import Plugin, nearest
from agentsquad.runtime.engine.contract import (
    DefinitionChangedError,
    Deployments,
    Manifests,
    Workflow,
)
from agentsquad.runtime.engine.door import CallPath, Interceptor, World
from agentsquad.runtime.engine.widened import widened

ADOPTED = "run.adopted"


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal says a run runs under; `manifest` is the revision of the
    manifest `name` that it was moved to, if it runs one."""

    workflow: str
    definition: str
    manifest: str | None = None
    name: str = ""


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployed version is made of: files by their path, and the module
    to begin with."""

    name: str
    entry: str
    files: Mapping[str, bytes]


@runtime_checkable
class CodeKeeper(Protocol):
    """Deployments that can give back what was deployed."""

    async def code(self, digest: str) -> Code:
        """Return the code of a version, byte for byte."""
        ...


class Home:
    """A world that code runs in; `digest` names the deployed version it is for,
    None for the installation itself."""

    def __init__(self, world: World, path: CallPath, digest: str | None, plugin: Plugin) -> None:
        self.world = world
        self.path = path
        self.digest = digest
        self._names = {workflow.name for workflow in plugin.workflows}

    def offers(self, workflow: str) -> bool:
        """Whether its own version has this workflow."""
        return workflow in self._names

    @cached_property
    def registry_digest(self) -> str:
        """The digest of all that is mounted here."""
        return self.world.registry.digest


class Version:
    """One workflow as a run runs it, and the home it runs in."""

    __slots__ = ("home", "manifest", "workflow")

    def __init__(self, workflow: Workflow, home: Home, manifest: str | None = None) -> None:
        self.workflow = workflow
        self.home = home
        self.manifest = manifest

    @property
    def world(self) -> World:
        """The world it runs in."""
        return self.home.world

    def fits(self, moved: Mapping[str, Any]) -> bool:
        """Whether it is the version that run.adopted says."""
        return self.workflow.digest == moved["definition"] and self.manifest == moved.get(
            "manifest"
        )


class Versions:
    """The versions that runs of one installation run under, loaded when they
    are asked for."""

    def __init__(self, world: World, path: CallPath, interceptors: Sequence[Interceptor]) -> None:
        self.installed = Home(world, path, None, Plugin(name=""))
        self._world = world
        self._interceptors = interceptors
        self._homes: dict[str, Home] = {}
        self._own: dict[str, Version] = {}
        self._deployments: Deployments | None = None
        if world.ports.has(Deployments):
            self._deployments = world.ports.get(Deployments)
        self._fresh = self._deployments is None

    async def refresh(self) -> None:
        """Take in what was deployed since."""
        if self._deployments is not None:
            await self._deployments.refresh()
            self._fresh = True

    def knows(self, workflow: str, definition: str) -> bool:
        """Whether a run pinned so can go on, as far as is known without loading
        anything."""
        installed = self._world.registry.workflows.get(workflow)
        if installed is not None and installed.digest == definition:
            return True
        return self._deployments is not None and self._deployments.knows(definition)

    def offers(self, workflow: str) -> bool:
        """Whether a run of this name could begin, by code."""
        deployed = self._deployments
        return workflow in self._world.registry.workflows or (
            deployed is not None and deployed.newest(workflow) is not None
        )

    async def workflows(self) -> dict[str, Workflow]:
        """Return what begins now under each name, by code: deployed, else
        installed."""
        await self.refresh()
        names = {*self._world.registry.workflows}
        if self._deployments is not None:
            names |= {*self._deployments.names()}
        return {name: (await self.newest(name)).workflow for name in sorted(names)}

    async def newest(self, name: str, beside: Version | None = None) -> Version:
        """Return what a run of this name that begins now runs under;
        MissingError names the nearest workflow."""
        deployed = self._deployments
        if deployed is None:
            return self._own_version(name)
        if beside is not None and beside.home.offers(name):
            return Version(beside.world.registry.workflow(name), beside.home)
        known = deployed.newest(name)
        if not self._fresh or (known is None and name not in self._world.registry.workflows):
            await self.refresh()
            known = deployed.newest(name)
        if known is None:
            return self._own_version(name)
        home = await self.home(known)
        return Version(home.world.registry.workflow(name), home)

    async def pinned(self, run: str, pin: Pin) -> Version:
        """Return what a run runs under; DefinitionChangedError when that is
        neither installed nor deployed."""
        installed = self._world.registry.workflows.get(pin.workflow)
        if installed is not None and installed.digest == pin.definition:
            if pin.manifest is None:
                return self._own_version(pin.workflow)
            return await self._revised(installed, pin.name, pin.manifest)
        deployed = self._deployments
        if deployed is not None:
            if not deployed.knows(pin.definition):
                await self.refresh()
            if deployed.knows(pin.definition):
                home = await self.home(pin.definition)
                return Version(home.world.registry.workflow(pin.workflow), home)
        raise changed(run, pin, (await self.newest(pin.workflow)).workflow)

    async def of(self, run: str, events: Sequence[Event]) -> Version:
        """Return what the run with this journal runs under."""
        return await self.pinned(run, pins(events)[-1])

    async def code(self, digest: str) -> Code | None:
        """Return the code of a deployed version, None for what is installed or
        not here."""
        deployed = self._deployments
        if deployed is None or not deployed.knows(digest) or not isinstance(deployed, CodeKeeper):
            return None
        return await deployed.code(digest)

    async def home(self, digest: str) -> Home:
        """Return the world of a deployed version."""
        found = self._homes.get(digest)
        if found is None:
            assert self._deployments is not None
            loaded = await self._deployments.load(digest)
            found = self._homes.get(digest)
            if found is None:
                found = self._homes[digest] = self.mounted(loaded.plugin, digest)
        return found

    def mounted(self, plugin: Plugin, digest: str) -> Home:
        """Return a world with a version mounted, deployed or about to be."""
        world = widened(self._world, plugin)
        learn = getattr(self._world.store, "learn", None)
        if learn is not None:  # so that it seals what the version marks as personal
            learn(world.registry)
        path = CallPath(world, self._interceptors)
        world.ports.put(CallPath, path)
        return Home(world, path, digest, plugin)

    def _own_version(self, name: str) -> Version:
        version = self._own.get(name)
        if version is None:
            registry = self._world.registry
            if name not in registry.workflows and self._deployments is not None:
                known = [*registry.workflows, *getattr(self._deployments, "workflows", ())]
                raise MissingError(
                    f"no workflow named {name!r}",
                    code="workflow.missing",
                    hint=nearest(name, known),
                )
            version = self._own[name] = Version(registry.workflow(name), self.installed)
        return version

    async def _revised(self, workflow: Workflow, name: str, manifest: str) -> Version:
        manifests: Manifests = self._world.ports.get(Manifests)
        changes = await manifests.revision(name, manifest)
        return Version(revised(workflow, changes), self.installed, manifest)


def fits(run: str, events: Sequence[Event], version: Version) -> None:
    """See that a journal is one that a version would have written;
    NonDeterministicError says where it is not."""
    from agentsquad.runtime.engine.decider import Instance

    instance = Instance(run, version.workflow, version.world.registry)
    for event in events:
        instance.apply(event)


def revised(workflow: Workflow, changes: Mapping[str, Any]) -> Workflow:
    """Return the interpreter of manifests as it runs another revision than the
    one in the input of the run."""

    async def fn(ctx: Any, value: Any) -> Any:
        return await workflow.fn(ctx, msgspec.structs.replace(value, **changes))

    return msgspec.structs.replace(workflow, fn=fn)


def changed(run: str, pin: Pin, current: Workflow) -> DefinitionChangedError:
    """Return what is told of a run whose version is not here."""
    return DefinitionChangedError(
        f"run {run} began under another version of {pin.workflow}",
        hint=f"squad replay {run} says whether it would go on unchanged; "
        f"squad runs adopt {run} continues it under the new version",
        details={"run": run, "pinned": pin.definition, "current": current.digest},
    )


def versions_of(world: World) -> Versions:
    """Return the versions of an installation, made on first use."""
    if not world.ports.has(Versions):
        from agentsquad.runtime.engine.interceptors import STANDARD

        world.ports.put(Versions, Versions(world, CallPath(world, STANDARD), STANDARD))
    return world.ports.get(Versions)  # type: ignore[no-any-return]


async def world_of(world: World, run: str) -> World:
    """Return the world that a run's own version runs in; the installation,
    where that version is not there."""
    events = await world.store.read_stream(f"run/{run}")
    try:
        return (await versions_of(world).of(run, events)).world
    except (SquadError, IndexError, KeyError, TypeError):
        return world


def pins(events: Sequence[Event]) -> list[Pin]:
    """Return what a run ran under from its journal, the last one now."""
    started = events[0].payload
    found = [Pin(workflow=started["workflow"], definition=started["definition"])]
    for event in events:
        if event.type == ADOPTED and event.payload is not None:
            body = event.payload
            found.append(
                Pin(
                    workflow=started["workflow"],
                    definition=body["definition"],
                    manifest=body.get("manifest"),
                    name=started["input"].get("name", "") if body.get("manifest") else "",
                )
            )
    return found
