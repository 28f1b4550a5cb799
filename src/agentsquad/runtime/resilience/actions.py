"""The actions of resilience: set a budget, and show how the budgets stand."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.resilience.budget import Limit, Line
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper


class SetInput(msgspec.Struct, frozen=True, kw_only=True):
    """The limit to set."""

    scope: Annotated[
        str,
        msgspec.Meta(
            description="What it is for: run:ID, step:NAME, agent:NAME or tenant:NAME.",
            examples=["tenant:acme"],
        ),
    ]
    amount: Annotated[
        str,
        msgspec.Meta(
            description="Most that may be spent, or none to remove it.", examples=["250.00"]
        ),
    ]
    currency: Annotated[str, msgspec.Meta(description="ISO 4217 code.", examples=["USD"])]
    period: Annotated[
        str,
        msgspec.Meta(description="Counts over total, day or month (UTC).", examples=["month"]),
    ] = "total"
    unknown: Annotated[
        str, msgspec.Meta(description="What to do when a price is unknown: refuse or allow.")
    ] = "refuse"


class ShowInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which budgets to show."""

    scope: Annotated[
        str, msgspec.Meta(description="Only scopes that begin so.", examples=["tenant:"])
    ] = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one limit stands; amounts are decimal strings of `currency`."""

    scope: str
    currency: str
    period: str
    window: str
    limit: str
    spent: str
    reserved: str
    left: str
    unknown: int
    open: int


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """How the limits stand."""

    items: tuple[Standing, ...]


@action(
    "budget.set",
    effect=Effect.WRITE,
    cli=("budget", "set"),
    positional=("scope", "amount", "currency"),
    examples=("squad budget set tenant:acme 250.00 USD --period month",),
)
async def set_budget(ctx: Context, input: SetInput) -> Standings:
    """Set what may be spent in a scope; it counts from now on.

    Model calls and other paid steps reserve before and settle after. A step
    whose price is unknown is refused unless the budget allows it.
    """
    remove = input.amount == "none"
    money = Money.zero(input.currency) if remove else Money.parse(input.amount, input.currency)
    limit = Limit(
        scope=input.scope,
        currency=money.currency,
        micros=money.micros,
        period=input.period,
        unknown=input.unknown,
    )
    keeper = BudgetKeeper(ctx.port(EventStore))  # type: ignore[type-abstract]
    await keeper.set(limit, actor=str(ctx.actor), remove=remove)
    return await _standings(keeper, ctx.now_ms(), input.scope)


@action(
    "budget.show",
    effect=Effect.READ,
    cli=("budget", "show"),
    examples=("squad budget show", "squad budget show --scope tenant:"),
)
async def show_budgets(ctx: Context, input: ShowInput) -> Standings:
    """Show each budget: its limit, what is spent, reserved and left.

    `unknown` counts settled calls whose cost nobody knows, `open` reservations
    not yet settled.
    """
    keeper = BudgetKeeper(ctx.port(EventStore))  # type: ignore[type-abstract]
    return await _standings(keeper, ctx.now_ms(), input.scope)


async def _standings(keeper: BudgetKeeper, at_ms: int, scope: str) -> Standings:
    return Standings(items=tuple(_standing(line) for line in await keeper.lines(at_ms, scope)))


def _standing(line: Line) -> Standing:
    def amount(micros: int) -> str:
        return Money(micros, line.currency).decimal()

    return Standing(
        scope=line.scope,
        currency=line.currency,
        period=line.period,
        window=line.window,
        limit=amount(line.limit),
        spent=amount(line.spent),
        reserved=amount(line.reserved),
        left=amount(line.left),
        unknown=line.unknown,
        open=line.open,
    )
