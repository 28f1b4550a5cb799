"""Hypothesis as the explorer of choices: it draws them, and shrinks those that
fail.

Only sequences of bounded integers pass through it; what they mean is decided by
whoever draws. Nothing of a workflow runs inside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import lru_cache
from os import getuid
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis
from hypothesis import HealthCheck, Phase, settings, strategies
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.database import ExampleDatabase, choices_to_bytes
from hypothesis.internal.conjecture.providers import HypothesisProvider

from agentsquad.operations.trials.contract import Draw

OPTIONS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": False,
    "report_multiple_bugs": False,
}


@lru_cache(maxsize=4096)
def _between(low: int, high: int) -> Any:
    return strategies.integers(low, high)


class _FoundError(Exception):
    """A case that fails; what Hypothesis shrinks."""


class _Known(ExampleDatabase):
    """A database that knows one case that was not shrunk yet."""

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__()
        self._saved = {choices_to_bytes(tuple(choices))}

    def fetch(self, key: bytes) -> Iterator[bytes]:
        """Return what is known; the key of shrunk cases has none."""
        if key.endswith(b"secondary"):
            yield from list(self._saved)

    def save(self, key: bytes, value: bytes) -> None:
        """Remember nothing more."""

    def delete(self, key: bytes, value: bytes) -> None:
        """Forget nothing."""


class HypothesisExplorer:
    """Draws and shrinks by Hypothesis, leaving nothing where it was called."""

    def __init__(self) -> None:
        set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"agentsquad-hypothesis-{getuid()}")

    def draw(self, build: Callable[[Draw], Any], count: int, seed: str) -> list[list[int]]:
        """Return the choices of so many cases."""
        found: list[list[int]] = []

        def take(choices: list[int]) -> None:
            if len(found) < count:
                found.append(choices)

        number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
        chosen = settings(max_examples=count, database=None, phases=[Phase.generate], **OPTIONS)
        _run(_property(build, take), chosen, number)
        # Where there are fewer cases than asked for, they are tried again.
        drawn = len(found)
        while drawn and len(found) < count:
            found.append(found[len(found) % drawn])
        return found

    async def shrink(
        self,
        build: Callable[[Draw], Any],
        choices: Sequence[int],
        fails: Callable[[Sequence[int]], Awaitable[bool]],
        limit: int,
    ) -> list[int]:
        """Return the simplest choices found that still fail."""
        loop = asyncio.get_running_loop()
        best = list(choices)
        known: dict[tuple[int, ...], bool] = {}

        def judge(drawn: list[int]) -> None:
            nonlocal best
            key = tuple(drawn)
            if key not in known:
                known[key] = (
                    len(known) < limit
                    and asyncio.run_coroutine_threadsafe(_awaited(fails, drawn), loop).result()
                )
                if known[key] and (len(drawn), drawn) < (len(best), best):
                    best = list(drawn)
            if known[key]:
                raise _FoundError

        chosen = settings(
            max_examples=1000,
            database=_Known(choices),
            phases=[Phase.reuse, Phase.shrink],
            **OPTIONS,
        )

        def work() -> None:
            try:
                _run(_property(build, judge), chosen)
            except _FoundError:
                return

        await asyncio.to_thread(work)
        return best


async def _awaited(fails: Callable[[Sequence[int]], Awaitable[bool]], drawn: list[int]) -> bool:
    return await fails(drawn)


def _property(build: Callable[[Draw], Any], take: Callable[[list[int]], None]) -> Any:
    """Return the test Hypothesis runs: draw, then hand the choices over."""

    @strategies.composite
    def drawn(draw: Any) -> list[int]:
        chosen = Draw(lambda low, high: int(draw(_between(low, high))))
        build(chosen)
        return chosen.choices

    def test(choices: list[int]) -> None:
        take(choices)

    return hypothesis.given(choices=drawn())(test)


def _run(test: Any, chosen: Any, seed: int | None = None) -> None:
    # Hypothesis likes to draw numbers that it finds in whatever modules are
    # loaded; the same seed would then not draw the same in another process.
    with patch.object(HypothesisProvider, "_maybe_draw_constant", lambda *_, **__: None):
        (chosen(test) if seed is None else hypothesis.seed(seed)(chosen(test)))()
