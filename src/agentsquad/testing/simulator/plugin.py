"""What of the outside world the simulator stands on: SQLite's layer for files,
and processes to run many seeds side by side."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from agentsquad.testing.simulator.adapters.vfs import SimulatedVfs

T = TypeVar("T")


@cache
def simulated_files() -> SimulatedVfs:
    """Return the layer that puts SQLite's files on simulated disks; one a
    process."""
    from agentsquad.testing.simulator.adapters.vfs import install

    vfs = install()
    atexit.register(vfs.remove)
    return vfs


def side_by_side(fn: Callable[[int], T], numbers: Sequence[int], workers: int) -> Iterator[T]:
    """Yield what `fn` gives for each number, in order, in several processes."""
    from agentsquad.testing.simulator.adapters import pool

    return pool.side_by_side(fn, numbers, workers)
