"""Tenure: who drives the runs of a store that several processes share, and how
they hear of one another.

Ports only, apart from the contract because a store of one process has neither:
the engine asks `Ledger.tenure`, the log asks its volume.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec


@runtime_checkable
class Pushing(Protocol):
    """A volume that tells when another process has written, so that nobody has
    to look."""

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` in this thread's event loop after each commit of another
        process, and whenever some may have been missed; return how to stop."""
        ...


@runtime_checkable
class Guarding(Protocol):
    """A volume to which each question costs a journey: a commit that would make
    a stream which is there already is refused with LapsedError, so that nobody
    has to ask before."""

    guards_names: bool


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A process that drives the runs of a store, or stands by to."""

    id: str
    host: str
    pid: int
    since: str
    seen_ms: int
    leads: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Who may drive the runs of a store: `token` grows with each that takes
    over, `left_ms` is how long the holder's word still counts."""

    token: int
    holder: str
    left_ms: int


class Tenure(Protocol):
    """The right to drive the runs of a store, kept in the store itself.

    Law: after another has taken over, nothing that this process began as holder
    is written: the token is compared in the transaction that writes, while the
    lock is held that taking over needs as well. The store's clock counts.
    """

    @property
    def held(self) -> int | None:
        """The token under which this process writes, None if it holds none."""
        ...

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken over yet: by the clock of this
        machine, counted from before the last renewal was asked for."""
        ...

    def take(self, ttl_ms: int) -> Standing:
        """Take over if nobody holds it any more; say who holds it then."""
        ...

    def renew(self, ttl_ms: int) -> bool:
        """Go on holding it; False when another has taken over."""
        ...

    def release(self) -> None:
        """Give it back, so that another may take over at once."""
        ...

    def forget(self) -> None:
        """Write without the token again: what was begun as holder is
        stopped."""
        ...

    def standing(self, ttl_ms: int | None = None) -> Standing:
        """Return who holds it; with `ttl_ms` also say that this process stands
        by for so long."""
        ...

    def members(self) -> list[Member]:
        """Return the processes that hold it or stand by."""
        ...

    def warn(self, alarm: Callable[[], None]) -> None:
        """Call `alarm` when a write was refused because another has taken
        over."""
        ...

    def listen(self, heard: Callable[[str], None]) -> Callable[[], None]:
        """Call `heard` with `told` when a process without the token wrote, and
        with `lease` when it was given back; return how to stop."""
        ...
