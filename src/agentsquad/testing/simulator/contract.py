"""What others may know of the simulator: what a seed came to, and errors."""

from __future__ import annotations

import msgspec

from agentsquad.kernel.errors import BugError


class Finding(msgspec.Struct, frozen=True):
    """One law that did not hold: its name and what was seen instead."""

    law: str
    what: str


class Report(msgspec.Struct, kw_only=True):
    """What one seed came to."""

    seed: int
    world: str
    digest: str
    findings: list[Finding]
    faults: dict[str, int]
    events: int = 0
    runs: int = 0
    effects: int = 0
    virtual_ms: int = 0
    last: list[str] = []

    @property
    def failed(self) -> bool:
        """Whether a law did not hold."""
        return bool(self.findings)


class StalledError(BugError):
    """A simulated world came to nothing: somebody waits for ever."""

    code = "simulator.stalled"
