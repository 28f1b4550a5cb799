"""What others may know of drift: findings, the report, and what can be wrong
with a question."""

from __future__ import annotations

from typing import Literal

import msgspec

from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError

Factor = Literal["model", "prompt", "tool", "policy", "definition"]
FACTORS: tuple[Factor, ...] = ("model", "prompt", "tool", "policy", "definition")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One feature: how it was, how it is, and what the tests say.

    For words, `old` and `new` are shares of `category`, the one that moved
    most; for numbers, means. `low` and `high` bound the difference with 95 %.
    `p` is the feature's own, `corrected` bounds the chance that any feature
    alarms falsely, `rate` is the false discovery rate and alarms nobody.
    `clustered`: one value for each root run.
    """

    kind: str
    name: str
    test: str
    statistics: dict[str, float]
    p: float
    old: float
    new: float
    difference: float
    low: float
    high: float
    old_count: int
    new_count: int
    corrected: float = 1.0
    rate: float = 1.0
    drifted: bool = False
    clustered: bool = False
    category: str | None = None
    categories: dict[str, tuple[int, int]] = {}
    bins: list[tuple[int, int]] = []


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a population that grows: after how many runs, and what it
    found."""

    runs: int
    alpha: float
    drifted: int
    tested: int


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs: how many, from the first to the last; `digest` covers all
    that is compared of them."""

    runs: int
    first: str
    last: str
    roots: int
    digest: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A version that differs between the windows, as the log names it.

    `of` is the agent or workflow whose it is, `first` when the first run under
    the new one started.
    """

    factor: Factor
    of: str
    old: str
    new: str
    first: str


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the difference one factor makes when it alone is swapped.

    `forward` swaps it to new over old runs, `reverse` back to old from all new;
    `share` is their mean over the whole, with its interval over the sampled
    runs. `stand_ins` counts answers that had to be taken as recorded.
    """

    factor: Factor
    forward: float
    reverse: float
    points: float
    share: float
    low: float
    high: float
    stand_ins: int = 0
    changed: bool = False


class Culprit(msgspec.Struct, frozen=True, kw_only=True):
    """What driving old runs again says about an alarm.

    `verdict` is a factor, "inputs", "several", or "unknown". `old`, `all_new`:
    the feature over the sample as recorded, and with everything swapped.
    """

    verdict: str
    because: str
    feature: str
    category: str | None
    sample: int
    skipped: int
    control: int
    old: float
    all_new: float
    observed: float
    shares: list[Share]
    notes: list[str] = []


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a workflow or agent behaves otherwise than it did.

    Exit code: 0 without alarm, 1 with one.
    """

    workflow: str
    alarm: bool
    answer: str
    alpha: float
    method: Literal["looks", "once"]
    baseline: Window
    since: Window
    open_runs: int
    waiting_runs: int
    findings: list[Finding]
    inputs: list[Finding]
    changes: list[Change]
    looks: list[Look] = []
    culprit: Culprit | None = None
    notes: list[str] = []
    recorded: int | None = None

    @property
    def exit_code(self) -> int:
        """0 without alarm, 1 with one."""
        return 1 if self.alarm else 0


class DriftUnknownError(MissingError):
    """No run in the log goes by that name."""

    code = "drift.unknown"


class DriftRunsError(ConflictError):
    """There are too few runs to say anything."""

    code = "drift.runs"


class DriftWindowError(InvalidError):
    """The windows cannot be read, or they overlap."""

    code = "drift.window"


class DriftBaselineError(ConflictError):
    """The pinned baseline is not what the log now gives."""

    code = "drift.baseline"


class DriftPolicyError(InvalidError):
    """The folder given does not hold the rules of then."""

    code = "drift.policy"
