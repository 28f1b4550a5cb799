"""Threads: how many a model on this machine may use.

Threads of one computation wait for each other by spinning. On processors that
are busy with something else that costs many times what it saves, so fewer are
better than all.
"""

from __future__ import annotations

import os


def for_generation() -> int:
    """Return half the processors this process may use, at least one and at most
    eight.
    """
    return max(1, min(8, len(os.sched_getaffinity(0)) // 2))


def single_for_arrays() -> None:
    """Have numpy multiply in one thread; it must be called before numpy is
    first imported.

    A choice that the environment has made already stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
