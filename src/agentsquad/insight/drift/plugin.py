"""What drift offers: a comparison with a baseline, pinning one, and who may."""

from __future__ import annotations

from agentsquad.insight.drift.actions import pin, show
from agentsquad.kernel.registry import Plugin

_OPERATORS = """package drift.operators

actions := {"drift.baseline"}

allow contains {"clause": "drift.operators.person", "reason": "a person pins baselines"} if {
	startswith(input.actor, "person:")
}
"""

plugin = Plugin(
    name="drift",
    actions=(show, pin),
    policies={"drift/operators.rego": _OPERATORS},
)
