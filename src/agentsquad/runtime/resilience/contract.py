"""What others may know of resilience: admission under load, guards, and the
errors and events of budgets.

Event payloads, each in the stream `budget/<scope>`:     budget.set       scope,
currency, period, micros (null: no limit), unknown     budget.reserved  scope,
id, currency, micros (null: unknown price), day     budget.settled   scope, id,
currency, micros (null: unknown cost)     budget.released  scope, id, reason
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from agentsquad.kernel.errors import (
    ConflictError,
    InvalidError,
    LimitError,
    UnavailableError,
)

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


class PoolNodeLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of one node and what it has: places, thousandths of
    processors, bytes, graphics processors; null is without end."""

    name: str
    used: tuple[int, ...]
    has: tuple[int | None, ...]


class PoolLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How one pool stands; `cost` is what its busy nodes cost, in millionths an
    hour."""

    name: str
    busy: int
    waiting: int
    stolen: int = 0
    refused: int = 0
    cost: int = 0
    nodes: tuple[PoolNodeLoad, ...] = ()


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How much an engine has to do.

    `limit` is how many runs may be at work at once, as learned; `delay_ms` how
    long a new one last waited for the log at least; `starts_s` how many begin
    in a second; `overloaded` means that more come than can be begun.
    """

    limit: int
    at_work: int
    waiting: int
    delay_ms: float
    starts_s: float
    admitted: int
    refused: int
    overloaded: bool
    at_ms: int
    pools: tuple[PoolLoad, ...] = ()


class Board(Protocol):
    """Where an engine shows its load to other processes."""

    def post(self, load: Load) -> None:
        """Show it, in the place of what was shown before."""
        ...

    def read(self) -> Load | None:
        """Return what is shown; None if nothing is."""
        ...

    def clear(self) -> None:
        """Show nothing any more."""
        ...


class OverloadedError(LimitError):
    """More is asked of the engine than it can do."""

    code = "engine.overloaded"


class AdmissionClosedError(UnavailableError):
    """The engine is closing and begins nothing more."""

    code = "engine.closing"


class AdmissionSettingError(InvalidError):
    """A setting of admission is no whole number above zero."""

    code = "settings.admission"


class GuardSource(Protocol):
    """Where the guards of an installation are declared."""

    async def guards(self) -> Sequence[Any]:
        """Return every `GuardRule` in force."""
        ...


class BreakerOpenError(UnavailableError):
    """A breaker is open: the call was not made."""

    code = "breaker.open"


class BulkheadFullError(LimitError):
    """All places of a bulkhead are taken."""

    code = "bulkhead.full"


class PoolFullError(LimitError):
    """A pool has no place for a step now."""

    code = "pool.full"


class PoolNeedError(InvalidError):
    """A step needs more than a pool could ever give."""

    code = "pool.need"
