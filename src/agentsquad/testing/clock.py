"""A clock that moves only when told, so that tests wait for nothing."""

from __future__ import annotations

from agentsquad.runtime.determinism.rehearsal.clock import ManualClock, settle

__all__ = ["ManualClock", "settle"]
