"""What resilience offers: the actions on budgets, and who may set them."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.resilience.actions import set_budget, show_budgets
from agentsquad.runtime.resilience.release import release_budgets

_OPERATORS = """package budget.operators

actions := {"budget.release", "budget.set"}

allow contains {"clause": "budget.operators.person", "reason": "a person sets budgets"} if {
	startswith(input.actor, "person:")
}
"""

plugin = Plugin(
    name="resilience",
    actions=(set_budget, show_budgets, release_budgets),
    policies={"budget/operators.rego": _OPERATORS},
)
