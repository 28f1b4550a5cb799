"""X12: read, check, acknowledge, show, convert and write electronic business
documents.

Everything here is a pure function of bytes and values:

- `parse(data) -> Document`, `iter_transactions(file)` for large files,
  `write(document) -> bytes`
- `compose(envelope, drafts) -> Interchange` with the drafts of
  `documents.write_850` and its kin

`documents` holds the typed purchase order, acknowledgement, ship notice,
invoice and payment order.
"""

from __future__ import annotations

from agentsquad.integrations.formats.x12.builder import (
    Draft,
    Endpoint,
    Envelope,
    compose,
    compose_bytes,
    segment,
)
from agentsquad.integrations.formats.x12.delimiter import Delimiters
from agentsquad.integrations.formats.x12.interchange import (
    Document,
    Group,
    Interchange,
    Segment,
    Transaction,
)
from agentsquad.integrations.formats.x12.reader import iter_transactions, parse
from agentsquad.integrations.formats.x12.writer import write

__all__ = [
    "Delimiters",
    "Document",
    "Draft",
    "Endpoint",
    "Envelope",
    "Group",
    "Interchange",
    "Segment",
    "Transaction",
    "compose",
    "compose_bytes",
    "iter_transactions",
    "parse",
    "segment",
    "write",
]
