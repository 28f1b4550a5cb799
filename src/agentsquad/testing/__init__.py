"""The shipped test kit: virtual time, seeded chance and a small world to run
workflows in."""

from __future__ import annotations

from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.testing.world import AllowAll, TestSquad

__all__ = ["AllowAll", "ManualClock", "SeededEntropy", "TestSquad"]
