"""Chance from a seed: the same seed gives the same bytes."""

from __future__ import annotations

from agentsquad.runtime.determinism.rehearsal.entropy import SeededEntropy

__all__ = ["SeededEntropy"]
