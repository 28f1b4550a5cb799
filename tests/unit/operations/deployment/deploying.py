"""A small world that code can be deployed into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.deployment.contract import Loader, Report, SourceFiles
from agentsquad.operations.deployment.plugin import (
    loader,
    source_files,
    stored_deployments,
)
from agentsquad.operations.deployment.plugin import plugin as deployment
from agentsquad.runtime.control.contract import Expressions, TextSource
from agentsquad.runtime.control.manifests import StoredManifests
from agentsquad.runtime.control.plugin import cel_expressions, file_source
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.determinism.plugin import plugin as determinism
from agentsquad.runtime.engine.contract import Deployments, Engine, Manifests
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.plugin import plugin as engine
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.testing import TestSquad

ASKING = ("policy.decide", "policy.query")  # every TestSquad brings them
ADA = Actor.parse("person:ada")


class DeploySquad(TestSquad):
    """A squad with deployments; `restart` is another process on its store."""

    def __init__(self, *plugins: Plugin, store: str = "memory:", **options: Any) -> None:
        own = tuple(one for one in engine.actions if one.name not in ASKING)
        mounted = msgspec.structs.replace(engine, actions=own)
        super().__init__(
            mounted, control, determinism, deployment, *plugins, store=store, **options
        )

    def _engine(self) -> EmbeddedEngine:
        ports = Ports(
            {
                EventStore: self.ledger.store,
                BlobStore: self.ledger.blobs,
                PolicyEngine: self.policy,
                Clock: self.clock,
                Entropy: self.entropy,
                Ledger: self.ledger,
                Deployments: stored_deployments(self.ledger.store, self.ledger.blobs),
                Manifests: StoredManifests(self.ledger.store),
                SourceFiles: source_files(None),
                Loader: loader(None),
                TextSource: file_source(None),
                Expressions: cel_expressions(None),
            }
        )
        made = EmbeddedEngine(World(self.registry, ports))
        ports.put(Engine, made)
        return made

    async def deploy(self, file: Path | str | None = None, **options: Any) -> Report:
        """Deploy as a person does."""
        asked = {"file": None if file is None else str(file), **options}
        return await self.engine.invoke("deployments.deploy", asked, actor=ADA)

    async def call(self, action: str, **options: Any) -> Any:
        """Call any other action as a person."""
        return await self.engine.invoke(action, options, actor=ADA)


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path
