"""What others may know of trials: how a workflow says what may be tried on it,
and what a trial comes to.

A plugin offers `Trial` values (`Plugin.trials`); without one a workflow is
tried on input made from its schema.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from msgspec import Meta

from agentsquad.kernel.errors import InvalidError, UnavailableError, UnsupportedError

T = TypeVar("T")


class Draw:
    """Where generated values come from: a sequence of choices, simplest first.

    Everything is drawn through `integer`, so that a failing case can be made
    smaller choice by choice: towards `low`, the first of `items`, no.
    """

    def __init__(self, pick: Callable[[int, int], int]) -> None:
        self._pick = pick
        self.choices: list[int] = []

    def integer(self, low: int, high: int) -> int:
        """Return a number in [low, high]."""
        if high < low:
            raise InvalidError(f"nothing lies between {low} and {high}", code="trial.draw")
        chosen = self._pick(0, high - low)
        self.choices.append(chosen)
        return low + chosen

    def choice(self, items: Sequence[T]) -> T:
        """Return one of some items."""
        return items[self.integer(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        """Return True in about so many of a hundred cases."""
        return self.integer(0, 99) >= 100 - percent

    def many(self, low: int, high: int) -> Iterator[int]:
        """Count up to a drawn number of items."""
        yield from range(self.integer(low, high))


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One generated case: the input of the run and, as plain JSON, whatever of
    the world goes with it (`Trial.ports` makes adapters of that)."""

    input: Any
    world: Any = None


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """A law every trial must keep: `check` raises AssertionError, or returns
    what is wrong."""

    name: str
    check: Callable[[Any], str | None]
    summary: str = ""

    def __call__(self, story: Any) -> str | None:
        """Check one story."""
        return self.check(story)


def invariant(name: str) -> Callable[[Callable[[Any], str | None]], Invariant]:
    """Mark a function `fn(story)` as a law; it asserts, or returns what is
    wrong. A story is a `trials.tale.Tale`."""

    def mark(fn: Callable[[Any], str | None]) -> Invariant:
        doc = (fn.__doc__ or "").strip().split("\n\n")[0]
        return Invariant(name=name, check=fn, summary=" ".join(doc.split()))

    return mark


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How one workflow is tried.

    `scenarios` draws a case; without it input follows the workflow's schema.
    `ports` turns a case's world into adapters in memory; with them `reads` are
    done for real, and `effects` are carried out on them, once for each key.
    """

    workflow: str
    scenarios: Callable[[Draw], Case] | None = None
    ports: Callable[[Any], Mapping[Any, Any]] | None = None
    reads: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    invariants: tuple[Invariant, ...] = ()


class Failure(msgspec.Struct, kw_only=True):
    """The smallest case found that breaks a law.

    `repeat` is the one command that does it again; `found` how often the law
    was broken; `file` the test it was written to.
    """

    invariant: str
    reason: str
    found: int
    input: Any
    world: Any
    behaviour: list[str]
    events: list[str]
    repeat: str
    shrunk_from: int
    file: str | None = None


class TestInput(msgspec.Struct, kw_only=True):
    """What is tried, how often, and from which seed."""

    __test__ = False

    workflow: Annotated[
        str, Meta(description="name of a workflow, installed or applied", examples=["p2p"])
    ]
    scenarios: Annotated[int, Meta(description="how many to try", ge=1, le=10_000_000)] = 200
    seed: Annotated[int, Meta(description="the same seed tries the same", ge=0)] = 1
    workers: Annotated[
        int, Meta(description="processes; 0 takes two when there is much to do", ge=0, le=64)
    ] = 0
    invariants: Annotated[
        str | None, Meta(description="Python file with @invariant functions of your own")
    ] = None
    plugin: Annotated[
        str | None,
        Meta(description="Python file or module that holds `plugin`, with the workflow to try"),
    ] = None
    without: Annotated[list[str], Meta(description="laws that are not checked")] = []
    repeat: Annotated[
        str | None, Meta(description="try only this case, as a failure's command names it")
    ] = None
    export: Annotated[
        str | None, Meta(description="folder to write each failure to, as a pytest file")
    ] = None


class TestOutput(msgspec.Struct, kw_only=True):
    """What came of it; `invariants` counts how often each law was checked."""

    __test__ = False

    workflow: str
    scenarios: int
    passed: int
    failed: int
    invariants: dict[str, int]
    failures: list[Failure]
    seconds: float
    seed: int
    endings: dict[str, int] = {}
    smallest: Failure | None = None

    @property
    def exit_code(self) -> int:
        """0 when no law was broken, 1 otherwise."""
        return 1 if self.failed else 0


class BatchInput(msgspec.Struct, kw_only=True):
    """A part of a trial: scenarios drawn from one seed."""

    test: Annotated[TestInput, msgspec.Meta(description="what the whole trial was asked")]
    batch: Annotated[int, msgspec.Meta(description="which part, from 0; seeds what it draws")]
    count: Annotated[int, msgspec.Meta(description="how many scenarios it tries")]


class Broken(msgspec.Struct, kw_only=True):
    """A law that was broken, and the shortest case in a part that broke it."""

    invariant: str
    found: int
    choices: list[int]
    events: int


class BatchOutput(msgspec.Struct, kw_only=True):
    """What came of one part."""

    scenarios: int
    failed: int
    invariants: dict[str, int]
    broken: list[Broken]
    endings: dict[str, int]


class Explorer(Protocol):
    """Draws sequences of choices, and makes a failing one smaller."""

    def draw(self, build: Callable[[Draw], Any], count: int, seed: str) -> list[list[int]]:
        """Return the choices of so many cases; `build` says what is drawn."""
        ...

    async def shrink(
        self,
        build: Callable[[Draw], Any],
        choices: Sequence[int],
        fails: Callable[[Sequence[int]], Awaitable[bool]],
        limit: int,
    ) -> list[int]:
        """Return the simplest choices found that still fail, trying at most
        `limit`."""
        ...


class Workers(Protocol):
    """Other processes of this installation that carry out actions."""

    def spread(self, action: str, inputs: Sequence[Mapping[str, Any]], workers: int) -> Any:
        """Yield (index, output) as each is done, in any order."""
        ...


class TrialFiles(Protocol):
    """Python files that users name, and tests that are written."""

    def load(self, name: str) -> Mapping[str, Any]:
        """Return the names a Python file or module defines."""
        ...

    def write(self, folder: str, name: str, text: str) -> str:
        """Write a file into a folder and return its path."""
        ...


class TrialExtraError(UnsupportedError):
    """Trials need the extra [trials]."""

    code = "trials.extra"


class TrialFileError(InvalidError):
    """A Python file with plugins or invariants cannot be used."""

    code = "trials.file"


class TrialCaseError(InvalidError):
    """This is not a case that can be repeated."""

    code = "trials.case"


class TrialSchemaError(UnsupportedError):
    """Values for a schema cannot be drawn."""

    code = "trials.schema"


class WorkerError(UnavailableError):
    """A worker process ended before its work."""

    code = "trials.worker"
