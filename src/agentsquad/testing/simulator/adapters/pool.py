"""Pool: work side by side in processes of their own, results in the order of
what was asked."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
CHUNK = 10


def side_by_side(fn: Callable[[int], T], numbers: Sequence[int], workers: int) -> Iterator[T]:
    """Yield what `fn` gives for each number."""
    if workers <= 1 or len(numbers) < CHUNK:
        yield from map(fn, numbers)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(fn, numbers, chunksize=CHUNK)
