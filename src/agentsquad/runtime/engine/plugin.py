"""What the engine offers: its actions and the machine's clock, chance and
lease."""

from __future__ import annotations

from pathlib import Path

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine import actions, asking, desk, restarting, status, talking
from agentsquad.runtime.engine.adapters.board import FileBoard, NoBoard
from agentsquad.runtime.engine.adapters.lease import FileLease
from agentsquad.runtime.engine.adapters.pulses import FilePulses, MemoryPulses
from agentsquad.runtime.engine.adapters.system import (
    SystemClock,
    SystemEntropy,
    SystemStopping,
)
from agentsquad.runtime.engine.contract import Lease, Stopping
from agentsquad.runtime.engine.inbound.contract import Pulses
from agentsquad.runtime.resilience.contract import Board

# Only what changes something: reads need no allowance, and what no package
# governs is decided once. From afar trust/access asks for a role besides.
_OPERATORS = """package engine.operators

actions := {
	"runs.start", "runs.resume", "runs.cancel", "runs.signal", "runs.adopt", "runs.restart",
	"runs.retry", "runs.skip", "runs.patch", "runs.fail", "runs.compensate", "runs.update",
	"approvals.approve", "approvals.reject", "approvals.ask", "approvals.delegate",
	"effects.resolve", "control.halt", "control.lift",
	"interventions.make", "schedules.run", "log.erase", "engine.run",
}

person if startswith(input.actor, "person:")

allow contains {"clause": "engine.operators.person", "reason": "a person operates"} if person
"""

_APPROVALS = """package engine.approvals

actions := {"approvals.give"}

deny contains {"clause": "engine.approvals.person", "reason": "only a person can answer"} if {
	not startswith(input.actor, "person:")
}

deny contains {"clause": "engine.approvals.segregation", "reason": "nobody answers himself"} if {
	input.actor == input.facts.requester
}

allow contains {"clause": "engine.approvals.intervention", "reason": "by hand, and by two"} if {
	input.input.action in {"runs.retry", "runs.skip", "runs.patch", "runs.fail", "runs.compensate"}
	startswith(input.actor, "person:")
}

allow contains {"clause": "engine.approvals.proceed", "reason": "a step of a manifest"} if {
	input.input.action == "workflows.proceed"
	startswith(input.actor, "person:")
}
"""

plugin = Plugin(
    name="engine",
    policies={"engine/operators.rego": _OPERATORS, "engine/approvals.rego": _APPROVALS},
    actions=(
        actions.start,
        actions.list_runs,
        actions.show,
        actions.cancel,
        actions.signal,
        actions.inbox,
        actions.approve,
        actions.reject,
        talking.ask,
        talking.delegate,
        actions.recover,
        actions.adopt,
        restarting.restart,
        actions.resolve,
        actions.halt,
        actions.lift,
        status.status,
        status.serve,
        asking.decide,
        asking.query,
        *desk.ACTIONS,
    ),
)


def system_clock() -> SystemClock:
    """Return the machine's clock."""
    return SystemClock()


def system_entropy() -> SystemEntropy:
    """Return the machine's chance."""
    return SystemEntropy()


def system_stopping() -> Stopping:
    """Return how this process hears that it is to end."""
    return SystemStopping()


def board(home: Path, store: str) -> Board:
    """Return where an engine shows its load: beside a store of files."""
    return FileBoard(home / "engine.load") if store.startswith("sqlite:") else NoBoard()


def pulses(home: Path, store: str) -> Pulses:
    """Return where steps under way show that they live: beside a store of
    files."""
    if store.startswith("sqlite:"):
        return FilePulses(home / "engine.pulses")
    return MemoryPulses()


def file_lease(path: Path) -> Lease:
    """Return the lease on a store kept beside its files."""
    return FileLease(path)
