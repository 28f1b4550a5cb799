"""What others may know of resilience: the errors and events of budgets.

Event payloads, each in the stream `budget/<scope>`:     budget.set       scope,
currency, period, micros (null: no limit), unknown     budget.reserved  scope,
id, currency, micros (null: unknown price), day     budget.settled   scope, id,
currency, micros (null: unknown cost)     budget.released  scope, id, reason
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from agentsquad.kernel.errors import ConflictError, InvalidError, LimitError

STREAM = "budget/"
"""Prefix of the streams that hold budgets."""

TYPES = ("budget.set", "budget.reserved", "budget.settled", "budget.released")
"""All there is to know about budgets."""

PERIODS = ("total", "day", "month")
"""Over what a limit counts; days and months are those of UTC."""


class Quote(NamedTuple):
    """The most a call can cost; `micros` None means the price is unknown."""

    currency: str
    micros: int | None


class Appraiser(Protocol):
    """Says what a call can cost before it is made."""

    def appraise(self, action: str, value: Any) -> Quote | None:
        """Return a quote, or None for a call that never costs anything."""
        ...


class BudgetExceededError(LimitError):
    """A budget does not cover what was asked."""

    code = "budget.exceeded"


class BudgetUnknownPriceError(LimitError):
    """The price is unknown, and a budget does not allow that."""

    code = "budget.unknown_price"


class BudgetCurrencyError(LimitError):
    """A budget is kept in another currency than was asked."""

    code = "budget.currency"


class BudgetInvalidError(InvalidError):
    """A budget or amount is not valid."""

    code = "budget.invalid"


class BudgetRunEndedError(ConflictError):
    """The run has ended: no budget binds it any more."""

    code = "budget.run_ended"
