"""What others may know of nets: what a check answers, its ports and errors."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError

EXIT_CODES = {True: 1, False: 0, None: 10}


class Witness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a marking is reached: the firing sequence from the start, and the
    tokens it leaves (places not named are empty).

    `told` says the same in the words of the workflow, where there is one.
    """

    firing: list[str]
    marking: dict[str, int]
    told: list[str] = []


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a proof: fire `way`, then `loop` as often as later parts need."""

    way: list[str]
    loop: list[str]


class Pump(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why places are unbounded: after `first`, `again` can fire any number of
    times and leaves more in each of `places` every time.

    Where a loop lives on what an earlier one made, there are `stages` instead.
    """

    places: list[str]
    first: list[str] = []
    again: list[str] = []
    stages: list[Stage] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, in words of its author."""

    code: str
    message: str
    file: str = ""
    line: int = 0
    step: str = ""
    hint: str = ""


class Soundness(msgspec.Struct, frozen=True, kw_only=True):
    """What workflow nets are judged by; null where not known.

    `option_to_complete`: the end can be reached from everywhere; `proper`:
    nothing is left over at the end; `no_dead`: every transition can happen.
    `stuck` is a way to a dead marking that is not the end.
    """

    sound: bool | None
    option_to_complete: bool | None
    proper: bool | None
    no_dead: bool | None
    source: str
    sink: str
    stuck: Witness | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


class ResourceUse(msgspec.Struct, frozen=True, kw_only=True):
    """How a resource fared; waits are in seconds."""

    resource: str
    capacity: int
    utilisation: Estimate
    wait: Estimate
    waiting_most: int


class StepUse(msgspec.Struct, frozen=True, kw_only=True):
    """How often a step was done for a case, and its times in seconds."""

    step: str
    per_case: float
    work: float
    wait: float


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of simulating; times are in seconds.

    `bottleneck` is the resource with the highest utilisation, or the step that
    takes most of a case's time. `stable` is false where more arrives than can
    be done, so that waits have no mean.
    """

    cases: int
    completed: int
    failed: int
    seed: int
    per_hour: Estimate
    duration: Estimate
    p50: float
    p95: float
    steps: list[StepUse]
    resources: list[ResourceUse]
    bottleneck: str
    stable: bool


class NetVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one net.

    `deadlock`: whether a marking can be reached in which nothing is enabled;
    for workflows of this project the proper end does not count. `unbounded`
    and `dead` are lists of ids, null when not all is known; `reasons` says why
    for each null, `methods` how each answer was found. `states` are those
    looked at, `complete` whether they are all there are.
    """

    net: str
    deadlock: bool | None
    witness: Witness | None
    unbounded: list[str] | None
    pumps: list[Pump]
    dead: list[str] | None
    dead_because: dict[str, str]
    bounded: bool | None
    safe: bool | None
    live: bool | None
    bounds: dict[str, int] | None
    soundness: Soundness | None
    places: int
    transitions: int
    states: int
    complete: bool
    methods: dict[str, str]
    reasons: dict[str, str]
    notes: list[str]
    findings: list[Finding]
    names: dict[str, str]
    seconds: float

    @property
    def wrong(self) -> bool | None:
        """Whether there is a finding; None when not all is known."""
        if self.deadlock or self.unbounded or self.dead or self.bounded is False:
            return True
        if None in (self.deadlock, self.unbounded, self.dead):
            return None
        return False


class CheckOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the nets of a file.

    `deadlock` is true when one of them has one, null when that is not known of
    all; `witness` is the first. `unbounded` and `dead` are ids, with the net
    before them (`net/id`) where there are several; null when not all is known.
    `reasons` says why, by question. `findings` tell what is wrong in words;
    `nets` has the whole verdict of each net, `simulations` what came of
    simulating them, and `written` is the PNML file they were written to.
    """

    file: str
    kind: str
    deadlock: bool | None
    witness: Witness | None
    unbounded: list[str] | None
    dead: list[str] | None
    bounded: bool | None
    safe: bool | None
    live: bool | None
    states: int
    seconds: float
    method: str
    reason: str | None
    reasons: dict[str, str]
    findings: list[Finding]
    nets: list[NetVerdict]
    simulations: dict[str, Simulation] = {}
    written: str | None = None

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong, 1 when something is, 10 when that is not
        known."""
        wrong = [one.wrong for one in self.nets]
        return EXIT_CODES[True if True in wrong else None if None in wrong else False]


class NetFile(Protocol):
    """Reads and writes the files a check is asked about."""

    def read(self, path: str) -> bytes:
        """Return what a file holds; NetMissingError or NetUnreadableError when
        it cannot."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a file as a whole, or NetUnreadableError."""
        ...


class NetMissingError(MissingError):
    """There is no such file."""

    code = "check.missing"


class NetUnreadableError(InvalidError):
    """The file cannot be read or written."""

    code = "check.unreadable"


class NetFileError(InvalidError):
    """The file is not what its name says, or not well-formed."""

    code = "check.file"

    def __init__(self, message: str, *, file: str, line: int, path: str = "", hint: str) -> None:
        """`path` leads to the element that is wrong."""
        place = f"{file}:{line}" + (f": {path}" if path else "")
        details: dict[str, Any] = {"file": file, "line": line, "path": path}
        super().__init__(f"{place}: {message}", hint=hint, details=details)


class WorkflowStuckError(ConflictError):
    """A workflow that is proven to get stuck, or to have steps that never run,
    is not taken."""

    code = "workflow.stuck"


class ModelError(InvalidError):
    """What is to be simulated cannot be."""

    code = "check.model"
