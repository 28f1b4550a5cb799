"""What a surface needs of an installation; assembly provides it.

Apart from a `contract`, since it names the engine's World.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from agentsquad.kernel.actor import Actor
    from agentsquad.kernel.registry import Registry
    from agentsquad.runtime.engine.door import World
    from agentsquad.surfaces.gateway.operation import Operation


class Opened(Protocol):
    """An installation in this process."""

    @property
    def world(self) -> World:
        """The registry and the ports."""
        ...

    @property
    def actor(self) -> Actor:
        """Who asks when nothing else says so."""
        ...

    @property
    def unkept(self) -> bool:
        """Whether nothing was ever kept here."""
        ...

    @property
    def place(self) -> str:
        """Where its store is, or would be."""
        ...

    async def invoke(
        self,
        action: str,
        value: Any,
        *,
        actor: Actor | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call one action and return its typed output; `facts` are what policy
        is told besides."""
        ...

    async def close(self) -> None:
        """Close every file."""
        ...


class Installation(Protocol):
    """What is installed: operations to offer, a registry to carry them out, and
    a store to open when needed."""

    @property
    def debug(self) -> bool:
        """Whether a bug shows where it happened."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the process: what its terminal can, and NO_COLOR."""
        ...

    def operations(self) -> Sequence[Operation]:
        """Return what is offered, without loading what carries it out."""
        ...

    def registry(self) -> Registry:
        """Return everything that is mounted."""
        ...

    def open(self, home: str | None = None, namespace: str | None = None) -> Opened:
        """Open one namespace of it; `home` overrides where the store is
        kept."""
        ...
