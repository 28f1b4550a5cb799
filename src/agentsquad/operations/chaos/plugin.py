"""What chaos offers: its actions, who may use them, and copies of this
process."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.operations.chaos.actions import run, verify
from agentsquad.operations.chaos.contract import Workers

_ACCESS = """package chaos.access

actions := {"chaos.run"}

allow contains {"clause": "chaos.access.anybody", "reason": "nothing outside is touched"} if {
	split(input.actor, ":")[0] in {"person", "service", "schedule"}
}
"""


def workers(settings: Any) -> Workers:
    """Return copies of this process."""
    from agentsquad.operations.chaos.adapters.processes import Copies

    return Copies()


plugin = Plugin(
    name="chaos",
    actions=(run, verify),
    policies={"chaos/access.rego": _ACCESS},
    ports={Workers: workers},
)
