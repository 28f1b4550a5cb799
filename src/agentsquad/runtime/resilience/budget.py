"""Budget: reserve before, settle after; nothing in between can overspend.

Pure: `decide_…` says which events follow from the state, `evolve` applies one.

Laws:
    1. For each limit, spent + reserved never exceeds it by a reservation; only
       a settlement above what was reserved can, because it is the truth.
    2. A reservation is taken in all its scopes or in none.
    3. Every reservation ends once: settled or released. Only spending under a
       reservation counts, so a budget counts from the day it was set.
    4. An unknown price is never zero: it is refused, unless every budget asked
       allows it, and then it is counted as unknown.
    5. A settlement counts in the day and month of its reservation.

Transitions of a reservation:

    state   event             next      effect on the account
    none    budget.reserved   open      reserved += micros
    open    budget.settled    none      reserved -= micros, spent += actual
    open    budget.released   none      reserved -= micros

A settlement of unknown cost spends what was reserved: the side on which errors
are safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.money import Money
from agentsquad.runtime.resilience.contract import (
    PERIODS,
    STREAM,
    BudgetCurrencyError,
    BudgetExceededError,
    BudgetInvalidError,
    BudgetUnknownPriceError,
)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `micros` of `currency` in each period of one scope.

    `unknown` says what happens to unknown prices: refuse or allow.
    """

    scope: str
    currency: str
    micros: int
    period: str = "total"
    unknown: str = "refuse"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants to spend, at most, and for whom.

    `id` is unique among open reservations; asking again for an open one changes
    nothing. By it a resumed step finds what its interrupted attempt may have
    spent. `micros` None means the price is unknown.
    """

    id: str
    currency: str
    micros: int | None
    scopes: tuple[str, ...]
    at_ms: int
    actor: str = "service:squad"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How one limit stands at one moment; amounts are micro-units."""

    scope: str
    currency: str
    period: str
    window: str
    limit: int
    spent: int
    reserved: int
    unknown: int
    open: int

    @property
    def left(self) -> int:
        """What may still be reserved; negative after a dear settlement."""
        return self.limit - self.spent - self.reserved


class _Open(msgspec.Struct, frozen=True):
    currency: str
    micros: int | None
    day: str


class _Sum(msgspec.Struct):
    """What happened in one currency and window; `unknown` counts calls."""

    spent: int = 0
    reserved: int = 0
    unknown: int = 0


class Account(msgspec.Struct):
    """One scope: its limits, sums and open reservations."""

    limits: dict[tuple[str, str], Limit] = {}
    sums: dict[tuple[str, str], _Sum] = {}
    open: dict[str, _Open] = {}

    def sum_of(self, currency: str, window: str) -> _Sum:
        """Return the sum of a currency in a window, made when first needed."""
        return self.sums.setdefault((currency, window), _Sum())

    def copy(self) -> Account:
        """Return an account that can change without this one."""
        sums = {key: msgspec.structs.replace(value) for key, value in self.sums.items()}
        return Account(dict(self.limits), sums, dict(self.open))


class BudgetBook:
    """The accounts of all scopes that have budgets."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def account(self, scope: str) -> Account:
        """Return the account of a scope; one without limits is empty."""
        return self._accounts.get(scope) or Account()

    def scopes(self) -> list[str]:
        """Return the scopes that ever had a budget."""
        return sorted(self._accounts)

    def draft(self, scopes: Iterable[str]) -> BudgetBook:
        """Return a book to try things in: these accounts are copies."""
        book = BudgetBook()
        book._accounts = dict(self._accounts)
        for scope in scopes:
            if scope in book._accounts:
                book._accounts[scope] = book._accounts[scope].copy()
        return book

    def decide_set(self, limit: Limit, *, actor: str, remove: bool = False) -> list[NewEvent]:
        """Return the events that set, change or remove a limit."""
        check_scope(limit.scope)
        Money(limit.micros, limit.currency)
        if limit.period not in PERIODS or limit.unknown not in ("refuse", "allow"):
            raise BudgetInvalidError(
                f"no budget counts by {limit.period!r} with unknown prices {limit.unknown!r}",
                hint=f"period is one of {', '.join(PERIODS)}; unknown is refuse or allow",
            )
        if limit.micros < 0:
            raise BudgetInvalidError("a budget is not negative", hint="0 allows nothing")
        payload = msgspec.to_builtins(limit)
        if remove:
            payload["micros"] = None
        return [_event("budget.set", limit.scope, payload, actor)]

    def decide_reserve(self, request: Request) -> list[NewEvent]:
        """Return one event per limited scope, or raise a LimitError.

        No event means that no scope has a budget, or that the reservation is
        open already.
        """
        if request.micros is not None and request.micros < 0:
            raise BudgetInvalidError("a reservation is not negative", hint="ask for 0 or more")
        limited = [scope for scope in unique(request.scopes) if self.account(scope).limits]
        if limited and all(request.id in self.account(scope).open for scope in limited):
            return []
        for scope in limited:
            self._admit(scope, request)
        return [
            _event(
                "budget.reserved",
                scope,
                {
                    "scope": scope,
                    "id": request.id,
                    "currency": request.currency,
                    "micros": request.micros,
                    "day": day_of(request.at_ms),
                },
                request.actor,
            )
            for scope in limited
            if request.id not in self.account(scope).open
        ]

    def decide_settle(
        self,
        id: str,
        scopes: Sequence[str],
        cost: Money | None,
        *,
        actor: str = "service:squad",
    ) -> list[NewEvent]:
        """Return the events that end a reservation with what it did cost.

        Ending what is not open changes nothing, so nothing is counted twice.
        """
        found = []
        for scope in self.holding(id, scopes):
            held = self.account(scope).open[id]
            if cost is not None and cost.currency != held.currency:
                raise BudgetCurrencyError(
                    f"{id} was reserved in {held.currency} and cost {cost.currency}",
                    hint="settle in the currency that was reserved",
                )
            payload = {
                "scope": scope,
                "id": id,
                "currency": held.currency,
                "micros": None if cost is None else cost.micros,
            }
            found.append(_event("budget.settled", scope, payload, actor))
        return found

    def decide_release(
        self, id: str, scopes: Sequence[str], reason: str, *, actor: str = "service:squad"
    ) -> list[NewEvent]:
        """Return the events that give a reservation back unspent."""
        return [
            _event("budget.released", scope, {"scope": scope, "id": id, "reason": reason}, actor)
            for scope in self.holding(id, scopes)
        ]

    def holding(self, id: str, scopes: Sequence[str]) -> list[str]:
        """Return the scopes in which a reservation is open."""
        return [scope for scope in unique(scopes) if id in self.account(scope).open]

    def _admit(self, scope: str, request: Request) -> None:
        account = self.account(scope)
        if request.id in account.open:
            return
        if all(currency != request.currency for currency, _ in account.limits):
            kept = sorted({currency for currency, _ in account.limits})
            raise BudgetCurrencyError(
                f"the budget of {scope} is kept in {', '.join(kept)}, not {request.currency}",
                hint=f"squad budget set {scope} AMOUNT {request.currency}",
                details={"scope": scope, "currency": request.currency},
            )
        for (currency, period), limit in account.limits.items():
            if currency != request.currency:
                continue
            if request.micros is None:
                if limit.unknown != "allow":
                    raise BudgetUnknownPriceError(
                        f"the price is unknown and the budget of {scope} does not allow that",
                        hint="add the price, or set the budget with --unknown allow",
                        details={"scope": scope, "currency": currency},
                    )
                continue
            window = window_of(period, day_of(request.at_ms))
            used = account.sums.get((currency, window), _Sum())
            if used.spent + used.reserved + request.micros > limit.micros:
                raise _exceeded(limit, window, used, request)

    def evolve(self, type: str, payload: Mapping[str, Any]) -> None:
        """Apply one event; events of other kinds change nothing."""
        change = _CHANGES.get(type)
        if change is not None:
            change(self._accounts.setdefault(payload["scope"], Account()), payload)

    def lines(self, at_ms: int, prefix: str = "") -> list[Line]:
        """Return how every limit stands at a moment."""
        day = day_of(at_ms)
        found = []
        for scope in self.scopes():
            account = self._accounts[scope]
            for (currency, period), limit in sorted(account.limits.items()):
                if not scope.startswith(prefix):
                    continue
                window = window_of(period, day)
                used = account.sums.get((currency, window), _Sum())
                found.append(
                    Line(
                        scope=scope,
                        currency=currency,
                        period=period,
                        window=window,
                        limit=limit.micros,
                        spent=used.spent,
                        reserved=used.reserved,
                        unknown=used.unknown,
                        open=sum(one.currency == currency for one in account.open.values()),
                    )
                )
        return found


def _set(account: Account, payload: Mapping[str, Any]) -> None:
    key = (payload["currency"], payload["period"])
    if payload["micros"] is None:
        account.limits.pop(key, None)
    else:
        account.limits[key] = msgspec.convert(dict(payload), Limit)


def _reserved(account: Account, payload: Mapping[str, Any]) -> None:
    held = _Open(payload["currency"], payload["micros"], payload["day"])
    account.open[payload["id"]] = held
    for window in windows_of(held.day):
        account.sum_of(held.currency, window).reserved += held.micros or 0


def _settled(account: Account, payload: Mapping[str, Any]) -> None:
    held = account.open.pop(payload["id"])
    actual = payload["micros"]
    for window in windows_of(held.day):
        total = account.sum_of(held.currency, window)
        total.reserved -= held.micros or 0
        total.spent += (held.micros or 0) if actual is None else actual
        total.unknown += actual is None


def _released(account: Account, payload: Mapping[str, Any]) -> None:
    held = account.open.pop(payload["id"])
    for window in windows_of(held.day):
        account.sum_of(held.currency, window).reserved -= held.micros or 0


_CHANGES = {
    "budget.set": _set,
    "budget.reserved": _reserved,
    "budget.settled": _settled,
    "budget.released": _released,
}


def unique(scopes: Iterable[str]) -> list[str]:
    """Return scopes in order, each once."""
    return list(dict.fromkeys(scopes))


def check_scope(scope: str) -> None:
    """Refuse what is not `kind:name`, such as run:ID or tenant:acme."""
    kind, _, name = scope.partition(":")
    if kind not in ("run", "step", "agent", "tenant") or not name:
        raise BudgetInvalidError(
            f"{scope!r} is not a scope", hint="write run:, step:, agent: or tenant: and a name"
        )


def day_of(at_ms: int) -> str:
    """Return the day in UTC, "2026-11-23"."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d")


def windows_of(day: str) -> tuple[str, str, str]:
    """Return the windows a day lies in."""
    return ("total", day, day[:7])


def window_of(period: str, day: str) -> str:
    """Return the window of a period a day lies in."""
    return dict(zip(PERIODS, windows_of(day), strict=True))[period]


def _window_end_ms(window: str) -> int | None:
    if window == "total":
        return None
    year, month, *day = (int(part) for part in window.split("-"))
    start = datetime(year, month, day[0] if day else 1, tzinfo=UTC)
    end = start + timedelta(days=1 if day else 31)
    if not day:
        end = end.replace(day=1)
    return int(end.timestamp()) * 1000


def _exceeded(limit: Limit, window: str, used: _Sum, request: Request) -> BudgetExceededError:
    def amount(micros: int) -> str:
        return Money(micros, limit.currency).decimal()

    asked = request.micros or 0
    left = max(0, limit.micros - used.spent - used.reserved)
    end = _window_end_ms(window)
    return BudgetExceededError(
        f"the budget of {limit.scope} ({window}) has {amount(left)} {limit.currency} left of "
        f"{amount(limit.micros)}, asked {amount(asked)}",
        hint=f"squad budget show --scope {limit.scope}",
        details={
            "scope": limit.scope,
            "period": limit.period,
            "window": window,
            "currency": limit.currency,
            "limit": amount(limit.micros),
            "spent": amount(used.spent),
            "reserved": amount(used.reserved),
            "asked": amount(asked),
        },
        retry_after_ms=None if end is None else end - request.at_ms,
    )


def _event(type: str, scope: str, payload: Mapping[str, Any], actor: str) -> NewEvent:
    return NewEvent(stream=f"{STREAM}{scope}", type=type, payload=payload, actor=actor)
