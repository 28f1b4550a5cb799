"""The five business documents as values, each with its reader and writer.

A reader takes a transaction set and never judges it (that is `check`); a
writer makes a `Draft` that `compose` wraps into an interchange.
`write_…(read_…(x))` keeps what the values hold, not every optional segment a
partner may send; to keep a file as it is use `parse` and `write`.
"""

from __future__ import annotations

from agentsquad.integrations.formats.x12.details import (
    Amount,
    Carrier,
    Charge,
    Contact,
    ContactNumber,
    Moment,
    Packaging,
    Party,
    ProductId,
    Reference,
    Tax,
    Terms,
    party,
    product,
    reference,
)
from agentsquad.integrations.formats.x12.invoice import Invoice, InvoiceLine, read_810, write_810
from agentsquad.integrations.formats.x12.order import (
    AckLine,
    LineAnswer,
    OrderLine,
    PurchaseOrder,
    PurchaseOrderAck,
    read_850,
    read_855,
    write_850,
    write_855,
)
from agentsquad.integrations.formats.x12.payment import (
    Account,
    Adjustment,
    PaymentOrder,
    Remittance,
    read_820,
    write_820,
)
from agentsquad.integrations.formats.x12.shipment import (
    ShipNotice,
    ShippedLine,
    ShippedOrder,
    read_856,
    write_856,
)

__all__ = [
    "Account",
    "AckLine",
    "Adjustment",
    "Amount",
    "Carrier",
    "Charge",
    "Contact",
    "ContactNumber",
    "Invoice",
    "InvoiceLine",
    "LineAnswer",
    "Moment",
    "OrderLine",
    "Packaging",
    "Party",
    "PaymentOrder",
    "ProductId",
    "PurchaseOrder",
    "PurchaseOrderAck",
    "Reference",
    "Remittance",
    "ShipNotice",
    "ShippedLine",
    "ShippedOrder",
    "Tax",
    "Terms",
    "party",
    "product",
    "read_810",
    "read_820",
    "read_850",
    "read_855",
    "read_856",
    "reference",
    "write_810",
    "write_820",
    "write_850",
    "write_855",
    "write_856",
]
