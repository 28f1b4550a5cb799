"""Context: the only door to the world outside.

An action receives one; what it does not offer cannot be done. The engine
implements it, the kernel only says what it is.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from agentsquad.kernel.actor import Actor

T = TypeVar("T")


class Context(Protocol):
    """What an action may use besides its input."""

    @property
    def actor(self) -> Actor:
        """Who asks."""
        ...

    @property
    def run_id(self) -> str | None:
        """The run this call belongs to; None when called from a surface
        directly."""
        ...

    @property
    def idempotency_key(self) -> str:
        """Stable over retries of this call and unique to it: give it to the
        other side."""
        ...

    def now_ms(self) -> int:
        """Return the time, milliseconds since 1970 UTC."""
        ...

    def token(self, size: int) -> bytes:
        """Return random bytes."""
        ...

    def port(self, role: type[T]) -> T:
        """Return the adapter mounted for a port; UnsupportedError names the
        extra to install."""
        ...

    async def call(self, action: str, value: Any, **facts: Any) -> Any:
        """Call another action through the whole call path."""
        ...

    def meter(self, **usage: Any) -> None:
        """Record what this call consumed: model=…, input_tokens=…,
        cost_micros=…, currency=…."""
        ...

    def time_left_ms(self) -> int | None:
        """Return how long this call may still take, milliseconds: give it to
        the other side. None without a limit."""
        ...

    def heartbeat(self, detail: Any = None) -> None:
        """Show that the action lives; `detail` says how far it is, and is not
        written to the log before the step ends."""
        ...

    @property
    def last_heartbeat(self) -> Any:
        """What the try before this one said last; None if it said nothing."""
        ...

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """Tell a watching person how far it is; never recorded in the log."""
        ...
