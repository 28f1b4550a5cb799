"""The shipped test kit: virtual time, seeded chance, a small world to run
workflows in, assertions on recorded runs and trials."""

from __future__ import annotations

from agentsquad.operations.trials.contract import Case, Draw, Invariant, Trial, invariant
from agentsquad.operations.trials.tale import Tale
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.testing.history import assert_decides, assert_replays, read_history
from agentsquad.testing.trials import assert_holds
from agentsquad.testing.world import AllowAll, TestSquad

__all__ = [
    "AllowAll",
    "Case",
    "Draw",
    "Invariant",
    "ManualClock",
    "SeededEntropy",
    "Tale",
    "TestSquad",
    "Trial",
    "assert_decides",
    "assert_holds",
    "assert_replays",
    "invariant",
    "read_history",
]
