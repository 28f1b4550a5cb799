from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from agentsquad.kernel.money import Money
from agentsquad.runtime.policy.adapters.rego import RegoCompiler
from agentsquad.runtime.policy.contract import CompiledPolicy, PolicyFile
from agentsquad.solutions.purchase_to_pay.document import Charge, Invoice, Line, Order, Place, Tax
from agentsquad.solutions.purchase_to_pay.master import Vendor
from agentsquad.solutions.purchase_to_pay.plugin import policies

PLACE = Place(file="a.edi", digest="sha256:00", interchange="1", group="1", transaction="0001")


@pytest.fixture(scope="session")
def policy() -> CompiledPolicy:
    files = [PolicyFile(name=name, text=text, layer=1) for name, text in policies().items()]
    return RegoCompiler().compile(files)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor(
        key="acme",
        name="ACME PAPER INC",
        identity="ZZ:ACME",
        routing="990000101",
        account="30088127",
        tax_bp=0,
    )


@pytest.fixture
def line() -> Callable[..., Line]:
    def make(number: str = "1", **more: Any) -> Line:
        given: dict[str, Any] = {
            "number": number,
            "ids": {"VP": f"A-{number}"},
            "description": f"ITEM {number}",
            "quantity": Decimal(100),
            "unit": "EA",
            "price": Decimal("2.00"),
        }
        return Line(**{**given, **more})

    return make


@pytest.fixture
def order(line: Callable[..., Line]) -> Callable[..., Order]:
    def make(*lines: Line, freight: str = "", **more: Any) -> Order:
        charges = (
            (Charge(kind="charge", code="D240", amount=Money.parse(freight, "USD")),)
            if freight
            else ()
        )
        given: dict[str, Any] = {
            "place": PLACE,
            "po": "4500000001",
            "purpose": "00",
            "date": "2026-03-02",
            "currency": "USD",
            "receiver": "ZZ:ACME",
            "lines": lines or (line(),),
            "buyer": "DANA WHITFIELD",
            "charges": charges,
        }
        return Order(**{**given, **more})

    return make


@pytest.fixture
def invoice(line: Callable[..., Line]) -> Callable[..., Invoice]:
    """An invoice whose total is what its parts make, unless told otherwise."""

    def make(*lines: Line, freight: str = "", tax: str = "", **more: Any) -> Invoice:
        given: dict[str, Any] = {
            "place": PLACE,
            "po": "4500000001",
            "number": "INV-1",
            "date": "2026-03-06",
            "currency": "USD",
            "sender": "ZZ:ACME",
            "lines": lines or (line(),),
            "total": Money.zero("USD"),
            "routing": "990000101",
            "account": "30088127",
            "charges": (
                (Charge(kind="charge", code="D240", amount=Money.parse(freight, "USD")),)
                if freight
                else ()
            ),
            "taxes": (Tax(code="ST", amount=Money.parse(tax, "USD")),) if tax else (),
        }
        draft = Invoice(**{**given, **more})
        if "total" in more:
            return draft
        total = draft.goods + draft.tax + draft.charged
        return Invoice(**{**given, **more, "total": total})

    return make
