"""What the engine offers: its actions and the machine's clock, chance and
lease."""

from __future__ import annotations

from pathlib import Path

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine import actions, asking
from agentsquad.runtime.engine.adapters.lease import FileLease
from agentsquad.runtime.engine.adapters.system import SystemClock, SystemEntropy
from agentsquad.runtime.engine.contract import Lease

plugin = Plugin(
    name="engine",
    actions=(
        actions.start,
        actions.list_runs,
        actions.show,
        actions.cancel,
        actions.signal,
        actions.inbox,
        actions.approve,
        actions.reject,
        actions.recover,
        actions.adopt,
        actions.resolve,
        actions.halt,
        actions.lift,
        asking.decide,
        asking.query,
    ),
)


def system_clock() -> SystemClock:
    """Return the machine's clock."""
    return SystemClock()


def system_entropy() -> SystemEntropy:
    """Return the machine's chance."""
    return SystemEntropy()


def file_lease(path: Path) -> Lease:
    """Return the lease on a store kept beside its files."""
    return FileLease(path)
