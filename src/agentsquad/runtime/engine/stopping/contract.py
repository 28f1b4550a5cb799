"""What others may know of how steps, branches and runs stop before their time:
the errors that say why, and the signals that no workflow catches by mistake.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NoReturn

from agentsquad.kernel.errors import (
    ConflictError,
    DeadlineError,
    DeniedError,
    IntegrityError,
    InvalidError,
    LimitError,
)


class StepDeadlineError(DeadlineError):
    """A step or wait took longer than it may."""

    code = "step.deadline"


class ScopeDeadlineError(StepDeadlineError):
    """What stands in a scope took longer than it may."""

    code = "scope.deadline"


class RacingEffectError(DeniedError):
    """A branch that races others may not change the world."""

    code = "race.effect"


class RaceLostError(ConflictError):
    """No branch of a race gave a good answer."""

    code = "race.no_answer"


class NoProgressError(ConflictError):
    """A loop came back to where it was, or got no better for too long."""

    code = "loop.no_progress"


class LoopLimitError(LimitError):
    """A loop took as many turns as it may and is not done."""

    code = "loop.limit"


class DepthError(LimitError):
    """Too many runs stand below one another."""

    code = "run.depth"


class CancelSignal(BaseException):
    """Not an error: thrown into a workflow at its current step when the run is
    cancelled."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.scope: Any = None  # what is cancelled, the run or a part of it
        super().__init__(reason)


class ContinueSignal(CancelSignal):
    """Not an error: the run ends here, and another one goes on with this
    value."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__("it continues as new")

    def __await__(self) -> Generator[Any, Any, NoReturn]:
        raise self


class DeadlineSignal(CancelSignal):
    """Not an error: the run took longer than it may; no workflow can catch it
    by mistake."""


class NonDeterministicError(ConflictError):
    """The workflow's code no longer asks for what its journal holds."""

    code = "run.nondeterministic"


class DefinitionChangedError(ConflictError):
    """The run is pinned to another version of its definition."""

    code = "run.definition_changed"


class TransitionError(IntegrityError):
    """A journal says that a run went from one status to another it cannot go
    to."""

    code = "run.transition"


class ForeignAwaitError(InvalidError):
    """A workflow awaited something that did not come from its context."""

    code = "run.foreign_await"
