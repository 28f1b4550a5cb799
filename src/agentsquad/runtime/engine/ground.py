"""Ground: what branches, scopes and sagas stand on, the context as they need
it.

Apart from the context itself so that it may use them and they need not know it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.command import Command
from agentsquad.runtime.engine.scheduler import Latch, Scheduler, Task


class Expiring(Protocol):
    """What a time limit ends."""

    def expire(self) -> None:
        """Hear that the time is over."""
        ...


class Ground(Protocol):
    """The context of one run (`flow.Flow`)."""

    registry: Registry
    undoable: set[str]  # positions of effects that a saga may undo
    patches: dict[str, Any]  # by position, with what input a person had it tried again
    limits: dict[str, Expiring]  # by the position of their timer

    @property
    def scheduler(self) -> Scheduler:
        """What runs the branches."""
        ...

    @property
    def task(self) -> Task:
        """The branch that runs now."""
        ...

    def due_ms(self, duration_ms: int) -> int:
        """Return when a time is over that begins now."""
        ...

    def ask(self, command: Command) -> None:
        """Leave a command at its position."""
        ...

    def drop(self, position: str) -> None:
        """Want nothing any more of what was asked for at a position."""
        ...

    def peek_position(self) -> str:
        """Return the position the next step will have."""
        ...

    def latch(self) -> Latch:
        """Return a latch."""
        ...

    @property
    def call(self) -> Callable[..., Awaitable[Any]]:
        """How an action is called."""
        ...
