"""Finding workflows that were applied as resources, for starting and for sub-
workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry, nearest
from agentsquad.runtime.control.contract import APPLIED
from agentsquad.runtime.control.interpret import NAME, spec_digest
from agentsquad.runtime.control.resource import find, listed, stream_of

KIND = "AgentWorkflow"


class StoredManifests:
    """The engine's view of AgentWorkflow resources."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def wrap(self, name: str, value: Any) -> tuple[str, Any] | None:
        """Return the interpreter and its input for a manifest, or None."""
        try:
            resource = await find(self._store, KIND, name)
        except MissingError:
            return None
        from agentsquad.runtime.control.net.gate import refuse_stuck  # loaded late

        refuse_stuck(resource)
        spec = resource["spec"]
        return NAME, {"name": name, "spec": spec, "digest": spec_digest(spec), "input": value}

    async def revision(self, name: str, digest: str) -> Mapping[str, Any]:
        """Return what of its input a run takes from another revision."""
        spec = (await revisions(self._store, name)).get(digest)
        if spec is None:
            raise MissingError(
                f"revision {digest} of {name} is not in the log",
                code="workflow.revision",
                hint=f"squad deploy the manifest of {name} again",
            )
        return {"spec": spec, "digest": digest}


async def revisions(store: EventStore, name: str) -> dict[str, dict[str, Any]]:
    """Return every spec that was ever applied under a name, by its digest."""
    found = {}
    for event in await store.read_stream(stream_of(KIND, name)):
        if event.type == APPLIED and event.payload is not None:
            spec = event.payload["resource"]["spec"]
            found[spec_digest(spec)] = spec
    return found


class FindInput(msgspec.Struct, kw_only=True):
    """Which workflow."""

    name: Annotated[str, Meta(description="name of the workflow")]


class Found(msgspec.Struct, kw_only=True):
    """A workflow: `spec` is None for one that is installed as code."""

    name: str
    spec: dict[str, Any] | None = None
    digest: str = ""


@action("workflows.find", effect=Effect.READ, cli=())
async def find_workflow(ctx: Context, value: FindInput) -> Found:
    """Find a workflow by name, installed or applied."""
    installed = ctx.port(Registry).workflows
    if value.name in installed:
        return Found(name=value.name, digest=installed[value.name].digest)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    wrapped = await StoredManifests(store).wrap(value.name, None)
    if wrapped is None:
        applied = [one["metadata"]["name"] for one in await listed(store, KIND)]
        raise MissingError(
            f"no workflow named {value.name!r}",
            code="workflow.missing",
            hint=nearest(value.name, [*installed, *applied]),
        )
    return Found(name=value.name, spec=wrapped[1]["spec"], digest=wrapped[1]["digest"])
