"""What deployment offers: its actions, who may use them, and Python."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.deployment import actions
from agentsquad.operations.deployment.contract import Loader, SourceFiles
from agentsquad.operations.deployment.stored import StoredDeployments

_ACCESS = """package deployment.access

actions := {"deployments.deploy", "deployments.retire"}

allow contains {"clause": "deployment.access.person", "reason": "a person deploys"} if {
	startswith(input.actor, "person:")
}
"""


def source_files(settings: Any) -> SourceFiles:
    """Return the reader of users' code."""
    from agentsquad.operations.deployment.adapters.files import DiskSourceFiles

    return DiskSourceFiles()


def loader(settings: Any) -> Loader:
    """Return what loads Python source; one for a process."""
    from agentsquad.operations.deployment.adapters.python import PythonLoader

    return PythonLoader()


def stored_deployments(store: EventStore, blobs: BlobStore) -> StoredDeployments:
    """Return what was deployed into a store, as engines see it."""
    made: list[Loader] = []

    def lazily() -> Loader:
        if not made:
            made.append(loader(None))
        return made[0]

    return StoredDeployments(store, blobs, lazily)


plugin = Plugin(
    name="deployment",
    actions=(
        actions.deploy,
        actions.list_deployments,
        actions.show_deployment,
        actions.retire,
    ),
    ports={SourceFiles: source_files, Loader: loader},
    policies={"deployment/access.rego": _ACCESS},
)
