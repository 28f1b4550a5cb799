"""The budget book by itself: state in, events out."""

from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.errors import InvalidError, LimitError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.money import Money
from agentsquad.runtime.resilience.budget import (
    BudgetBook,
    Limit,
    Request,
    check_scope,
    day_of,
)
from agentsquad.runtime.resilience.contract import (
    BudgetCurrencyError,
    BudgetExceededError,
    BudgetInvalidError,
    BudgetUnknownPriceError,
)

NOON = 1795435200000  # 2026-11-23T12:00:00Z
DAY = 86_400_000


def book_with(*limits: Limit) -> BudgetBook:
    book = BudgetBook()
    for limit in limits:
        apply(book, book.decide_set(limit, actor="person:ada"))
    return book


def usd(scope: str, dollars: int, **more: Any) -> Limit:
    return Limit(scope=scope, currency="USD", micros=dollars * 1_000_000, **more)


def ask(
    id: str, dollars: int | None, *scopes: str, at_ms: int = NOON, currency: str = "USD"
) -> Request:
    micros = None if dollars is None else dollars * 1_000_000
    return Request(id=id, currency=currency, micros=micros, scopes=scopes, at_ms=at_ms)


def apply(book: BudgetBook, events: list[NewEvent]) -> list[NewEvent]:
    for event in events:
        book.evolve(event.type, event.payload)
    return events


def reserve(book: BudgetBook, *args: Any, **more: Any) -> list[NewEvent]:
    return apply(book, book.decide_reserve(ask(*args, **more)))


def cost(dollars: str) -> Money:
    return Money.parse(dollars, "USD")


def stands(book: BudgetBook, at_ms: int = NOON) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {
        (line.scope, line.period): (line.spent, line.reserved, line.left)
        for line in book.lines(at_ms)
    }


def test_a_reservation_holds_money_in_every_scope_that_has_a_budget() -> None:
    book = book_with(usd("run:1", 10), usd("tenant:a", 100))
    events = reserve(book, "s1", 4, "run:1", "agent:m", "tenant:a", "run:1")
    assert [(event.stream, event.type) for event in events] == [
        ("budget/run:1", "budget.reserved"),
        ("budget/tenant:a", "budget.reserved"),
    ]
    assert events[0].payload == {
        "scope": "run:1",
        "id": "s1",
        "currency": "USD",
        "micros": 4_000_000,
        "day": "2026-11-23",
    }
    assert stands(book)["run:1", "total"] == (0, 4_000_000, 6_000_000)
    assert stands(book)["tenant:a", "total"] == (0, 4_000_000, 96_000_000)


def test_settling_spends_what_it_did_cost_and_frees_the_rest() -> None:
    book = book_with(usd("run:1", 10))
    reserve(book, "s1", 4, "run:1")
    (event,) = apply(book, book.decide_settle("s1", ["run:1"], cost("1.25")))
    assert event.payload["micros"] == 1_250_000
    assert stands(book)["run:1", "total"] == (1_250_000, 0, 8_750_000)


def test_releasing_gives_everything_back() -> None:
    book = book_with(usd("run:1", 10))
    reserve(book, "s1", 4, "run:1")
    apply(book, book.decide_release("s1", ["run:1"], "it failed"))
    assert stands(book)["run:1", "total"] == (0, 0, 10_000_000)


def test_what_does_not_fit_is_refused_with_the_figures() -> None:
    book = book_with(usd("run:1", 10), usd("tenant:a", 5))
    reserve(book, "s1", 1, "run:1", "tenant:a")
    apply(book, book.decide_settle("s1", ["run:1", "tenant:a"], cost("1")))
    reserve(book, "s2", 2, "run:1", "tenant:a")
    before = stands(book)
    with pytest.raises(BudgetExceededError) as caught:
        reserve(book, "s3", 3, "run:1", "tenant:a")
    assert caught.value.code == "budget.exceeded"
    assert caught.value.details == {
        "scope": "tenant:a",
        "period": "total",
        "window": "total",
        "currency": "USD",
        "limit": "5.00",
        "spent": "1.00",
        "reserved": "2.00",
        "asked": "3.00",
    }
    assert caught.value.retry_after_ms is None
    assert stands(book) == before
    reserve(book, "s4", 2, "run:1", "tenant:a")  # exactly what is left


def test_nothing_is_held_anywhere_if_one_scope_refuses() -> None:
    book = book_with(usd("run:1", 10), usd("tenant:a", 1))
    with pytest.raises(BudgetExceededError):
        reserve(book, "s1", 2, "run:1", "tenant:a")
    assert stands(book)["run:1", "total"] == (0, 0, 10_000_000)


def test_a_zero_budget_allows_what_is_free_and_nothing_else() -> None:
    book = book_with(usd("run:1", 0))
    assert reserve(book, "free", 0, "run:1")
    with pytest.raises(BudgetExceededError):
        reserve(book, "s1", 1, "run:1")


def test_scopes_without_a_budget_record_nothing() -> None:
    book = BudgetBook()
    assert book.decide_reserve(ask("s1", 5, "run:1")) == []
    assert book.decide_settle("s1", ["run:1"], cost("5")) == []


def test_an_unknown_price_is_refused_unless_every_budget_allows_it() -> None:
    book = book_with(usd("run:1", 10), usd("tenant:a", 10, unknown="allow"))
    with pytest.raises(BudgetUnknownPriceError) as caught:
        reserve(book, "s1", None, "run:1", "tenant:a")
    assert caught.value.details["scope"] == "run:1"
    reserve(book, "s2", None, "tenant:a")
    assert stands(book)["tenant:a", "total"] == (0, 0, 10_000_000)
    apply(book, book.decide_settle("s2", ["tenant:a"], None))
    (line,) = book.lines(NOON, "tenant:")
    assert (line.unknown, line.spent, line.open) == (1, 0, 0)


def test_an_unknown_cost_spends_what_was_reserved_and_is_counted() -> None:
    book = book_with(usd("run:1", 10))
    reserve(book, "s1", 4, "run:1")
    apply(book, book.decide_settle("s1", ["run:1"], None))
    (line,) = book.lines(NOON)
    assert (line.spent, line.reserved, line.unknown) == (4_000_000, 0, 1)


def test_a_cost_above_the_reservation_is_recorded_and_stops_the_next() -> None:
    book = book_with(usd("run:1", 10))
    reserve(book, "s1", 9, "run:1")
    apply(book, book.decide_settle("s1", ["run:1"], cost("12")))
    assert stands(book)["run:1", "total"] == (12_000_000, 0, -2_000_000)
    with pytest.raises(BudgetExceededError) as caught:
        reserve(book, "s2", 0, "run:1")
    assert "0.00 USD left" in caught.value.message


def test_another_currency_is_refused_not_ignored() -> None:
    book = book_with(usd("run:1", 10))
    with pytest.raises(BudgetCurrencyError):
        reserve(book, "s1", 1, "run:1", currency="EUR")
    euro = Limit(scope="run:1", currency="EUR", micros=1_000_000)
    apply(book, book.decide_set(euro, actor="person:ada"))
    reserve(book, "s1", 1, "run:1", currency="EUR")
    assert [(line.currency, line.reserved) for line in book.lines(NOON)] == [
        ("EUR", 1_000_000),
        ("USD", 0),
    ]
    with pytest.raises(BudgetCurrencyError):
        book.decide_settle("s1", ["run:1"], cost("1"))


def test_asking_again_for_an_open_reservation_changes_nothing() -> None:
    book = book_with(usd("run:1", 10), usd("tenant:a", 10))
    reserve(book, "s1", 10, "run:1", "tenant:a")
    assert reserve(book, "s1", 10, "run:1", "tenant:a") == []
    assert stands(book)["run:1", "total"] == (0, 10_000_000, 0)


def test_a_reservation_ends_once() -> None:
    book = book_with(usd("run:1", 10))
    reserve(book, "s1", 4, "run:1")
    apply(book, book.decide_settle("s1", ["run:1"], cost("4")))
    assert book.decide_settle("s1", ["run:1"], cost("4")) == []
    assert book.decide_release("s1", ["run:1"], "late") == []
    assert stands(book)["run:1", "total"] == (4_000_000, 0, 6_000_000)


def test_days_and_months_begin_anew_in_utc() -> None:
    book = book_with(usd("tenant:a", 5, period="day"), usd("tenant:a", 8, period="month"))
    reserve(book, "s1", 5, "tenant:a")
    with pytest.raises(BudgetExceededError) as caught:
        reserve(book, "s2", 1, "tenant:a")
    assert caught.value.details["window"] == "2026-11-23"
    assert caught.value.retry_after_ms == DAY // 2
    with pytest.raises(BudgetExceededError) as caught:
        reserve(book, "s2", 4, "tenant:a", at_ms=NOON + DAY)
    assert caught.value.details["window"] == "2026-11"
    assert caught.value.retry_after_ms == 6 * DAY + DAY // 2
    reserve(book, "s2", 3, "tenant:a", at_ms=NOON + DAY)
    reserve(book, "s3", 5, "tenant:a", at_ms=NOON + 8 * DAY)  # the first of December
    assert stands(book, NOON + 8 * DAY)["tenant:a", "month"] == (0, 5_000_000, 3_000_000)


def test_a_settlement_counts_in_the_day_of_its_reservation() -> None:
    book = book_with(usd("tenant:a", 5, period="day"))
    reserve(book, "s1", 5, "tenant:a")
    apply(book, book.decide_settle("s1", ["tenant:a"], cost("3")))
    assert stands(book)["tenant:a", "day"] == (3_000_000, 0, 2_000_000)
    assert stands(book, NOON + DAY)["tenant:a", "day"] == (0, 0, 5_000_000)


def test_a_budget_may_be_changed_and_removed_without_forgetting_what_was_spent() -> None:
    book = book_with(usd("run:1", 10))
    reserve(book, "s1", 9, "run:1")
    apply(book, book.decide_set(usd("run:1", 5), actor="person:ada"))
    assert stands(book)["run:1", "total"] == (0, 9_000_000, -4_000_000)
    apply(book, book.decide_set(usd("run:1", 0), actor="person:ada", remove=True))
    assert book.lines(NOON) == []
    assert reserve(book, "s2", 99, "run:1") == []
    apply(book, book.decide_settle("s1", ["run:1"], cost("9")))
    apply(book, book.decide_set(usd("run:1", 10), actor="person:ada"))
    assert stands(book)["run:1", "total"] == (9_000_000, 0, 1_000_000)


@pytest.mark.parametrize(
    "limit",
    [
        usd("nonsense", 1),
        usd("run:", 1),
        usd("run:1", -1),
        usd("run:1", 1, period="year"),
        usd("run:1", 1, unknown="ignore"),
        Limit(scope="run:1", currency="dollars", micros=1),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(limit: Limit) -> None:
    with pytest.raises(InvalidError) as caught:
        BudgetBook().decide_set(limit, actor="person:ada")
    assert caught.value.hint


def test_a_negative_reservation_is_refused() -> None:
    with pytest.raises(BudgetInvalidError):
        book_with(usd("run:1", 1)).decide_reserve(ask("s1", -1, "run:1"))


def test_a_draft_changes_without_the_book() -> None:
    book = book_with(usd("run:1", 10), usd("tenant:a", 10))
    draft = book.draft(["run:1"])
    apply(draft, draft.decide_reserve(ask("s1", 4, "run:1")))
    assert stands(draft)["run:1", "total"] == (0, 4_000_000, 6_000_000)
    assert stands(book)["run:1", "total"] == (0, 0, 10_000_000)


def test_every_refusal_is_a_limit_so_surfaces_know_what_to_say() -> None:
    for error in (BudgetExceededError, BudgetUnknownPriceError, BudgetCurrencyError):
        assert issubclass(error, LimitError)


def test_scopes_and_days() -> None:
    for scope in ("run:x", "step:a/b", "agent:matcher", "tenant:acme:eu"):
        check_scope(scope)
    assert day_of(NOON) == "2026-11-23"
    assert day_of(NOON + DAY // 2) == "2026-11-24"
    assert day_of(NOON + DAY // 2 - 1) == "2026-11-23"
