"""The shipped test kit: virtual time, seeded chance, a small world to run
workflows in, and assertions on recorded runs."""

from __future__ import annotations

from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.testing.history import assert_decides, assert_replays, read_history
from agentsquad.testing.world import AllowAll, TestSquad

__all__ = [
    "AllowAll",
    "ManualClock",
    "SeededEntropy",
    "TestSquad",
    "assert_decides",
    "assert_replays",
    "read_history",
]
