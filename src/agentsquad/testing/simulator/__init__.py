"""Deterministic simulation: the real engine and the real log on a simulated
clock, disk and network, one thread, one seed one trace.

`python -m agentsquad.testing.simulator --seeds 1000` lives through a thousand
seeds; a seed that fails prints the command that repeats it. What is simulated,
and what that cannot show, is told in docs/explanation/simulation.md.
"""

from __future__ import annotations

from agentsquad.testing.simulator.contract import Finding, Report
from agentsquad.testing.simulator.simulation import simulate

__all__ = ["Finding", "Report", "simulate"]
