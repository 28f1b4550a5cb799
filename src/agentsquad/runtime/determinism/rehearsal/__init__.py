"""Rehearsal: a scratch world in which a workflow of the installation is played
without touching anything.

The real engine, door, log and policy over virtual time and seeded chance. Pure
actions run; effects are taken by a simulated counterparty that counts every
arrival by idempotency key; reads are answered as recorded, done for real only
where allowed, else made up from their schema; people and signals are played.
Chaos, trials and drift are readings of such rehearsals.
"""

from __future__ import annotations

from agentsquad.runtime.determinism.rehearsal.clock import ManualClock
from agentsquad.runtime.determinism.rehearsal.counterparty import Counterparty
from agentsquad.runtime.determinism.rehearsal.cut import Cut, Cutter
from agentsquad.runtime.determinism.rehearsal.entropy import SeededEntropy
from agentsquad.runtime.determinism.rehearsal.fault import Fault
from agentsquad.runtime.determinism.rehearsal.people import Said
from agentsquad.runtime.determinism.rehearsal.recorded import Recorded
from agentsquad.runtime.determinism.rehearsal.rehearsal import ROW_MAX, Options, Rehearsal, resolve
from agentsquad.runtime.determinism.rehearsal.story import EffectLine, Story

__all__ = [
    "ROW_MAX",
    "Counterparty",
    "Cut",
    "Cutter",
    "EffectLine",
    "Fault",
    "ManualClock",
    "Options",
    "Recorded",
    "Rehearsal",
    "Said",
    "SeededEntropy",
    "Story",
    "resolve",
]
