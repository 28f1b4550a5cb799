"""What a surface needs of an installation; assembly provides it."""

from __future__ import annotations

from typing import Any, Protocol

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.door import World


class Opened(Protocol):
    """An installation in this process."""

    world: World

    @property
    def actor(self) -> Actor:
        """Who asks when nothing else says so."""
        ...

    async def invoke(self, action: str, value: Any, *, actor: Actor | None = None) -> Any:
        """Call one action and return its typed output."""
        ...

    async def close(self) -> None:
        """Close every file."""
        ...


class Installation(Protocol):
    """What is installed: a registry to offer, and a store to open when
    needed."""

    def registry(self) -> Registry:
        """Return everything that is mounted."""
        ...

    def open(self, home: str | None = None) -> Opened:
        """Open it; `home` overrides where the store is kept."""
        ...
