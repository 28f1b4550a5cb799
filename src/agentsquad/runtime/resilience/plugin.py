"""What resilience offers: the actions on budgets and breakers, and who may use
them."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.resilience.actions import set_budget, show_budgets
from agentsquad.runtime.resilience.breakers import close_breaker, list_breakers, open_breaker
from agentsquad.runtime.resilience.pooled import list_pools
from agentsquad.runtime.resilience.release import release_budgets

_OPERATORS = """package budget.operators

actions := {"budget.release", "budget.set"}

allow contains {"clause": "budget.operators.person", "reason": "a person sets budgets"} if {
	startswith(input.actor, "person:")
}
"""

_BREAKERS = """package breaker.operators

actions := {"breakers.open", "breakers.close"}

allow contains {"clause": "breaker.operators.person", "reason": "a person operates"} if {
	startswith(input.actor, "person:")
}
"""

plugin = Plugin(
    name="resilience",
    actions=(
        set_budget,
        show_budgets,
        release_budgets,
        list_breakers,
        open_breaker,
        close_breaker,
        list_pools,
    ),
    policies={"budget/operators.rego": _OPERATORS, "breaker/operators.rego": _BREAKERS},
)
