"""What the engine asks of those who keep workflows in the store.

Apart from the engine's own contract, which offers them under its name: who
deploys is not who runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.registry import Plugin


class Manifests(Protocol):
    """Workflows that were applied as resources instead of installed as code."""

    async def wrap(self, name: str, value: Any) -> tuple[str, Any] | None:
        """Return (workflow, input) that run the manifest of this name, or
        None."""
        ...

    async def revision(self, name: str, digest: str) -> Mapping[str, Any]:
        """Return what of its input a run takes from another revision of its
        manifest; MissingError when no such revision was applied."""
        ...


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """One deployed version, loaded: the digest that names it and pins its
    workflows, and what it offers."""

    name: str
    digest: str
    plugin: Plugin


class Deployments(Protocol):
    """Versions of workflows that were deployed into the store, beside those
    that are installed."""

    def newest(self, workflow: str) -> str | None:
        """Return the digest of the version that new runs take, None where the
        installed one serves."""
        ...

    def names(self) -> Sequence[str]:
        """Return the workflows of which new runs take a deployed version."""
        ...

    def knows(self, digest: str) -> bool:
        """Whether a version of this digest was deployed and not retired."""
        ...

    async def refresh(self) -> None:
        """Take in what was deployed since."""
        ...

    async def load(self, digest: str) -> Deployed:
        """Return a version, loaded once in a process; raises what keeps its
        code from being loaded."""
        ...
