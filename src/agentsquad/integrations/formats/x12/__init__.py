"""X12: read, check, acknowledge, show, convert and write electronic business
documents.

Everything here is a pure function of bytes and values:

- `parse(data) -> Document`, `iter_transactions(file)` for large files
- `write(document) -> bytes`, byte for byte what was read if it was conforming
- `check(data | document) -> Report` with findings in X12 acknowledgement codes
- `acknowledge(data | report, control=, at=, kind=) -> bytes` as TA1, 997 or 999
- `show(document) -> str` for people, `to_json(document)` and `from_json(value)`
  without loss
- `compose(envelope, drafts) -> Interchange` with the drafts of
  `documents.write_850` and its kin

`documents` holds the typed purchase order, acknowledgement, ship notice,
invoice and payment order.
"""

from __future__ import annotations

from agentsquad.integrations.formats.contract import Finding
from agentsquad.integrations.formats.x12.acknowledgement import Kind, acknowledge
from agentsquad.integrations.formats.x12.builder import (
    Draft,
    Endpoint,
    Envelope,
    compose,
    compose_bytes,
    segment,
)
from agentsquad.integrations.formats.x12.conversion import from_json, to_json
from agentsquad.integrations.formats.x12.delimiter import Delimiters
from agentsquad.integrations.formats.x12.display import show
from agentsquad.integrations.formats.x12.interchange import (
    Document,
    Group,
    Interchange,
    Segment,
    Transaction,
)
from agentsquad.integrations.formats.x12.reader import iter_transactions, parse
from agentsquad.integrations.formats.x12.validation import Report, check, check_transaction
from agentsquad.integrations.formats.x12.writer import write

__all__ = [
    "Delimiters",
    "Document",
    "Draft",
    "Endpoint",
    "Envelope",
    "Finding",
    "Group",
    "Interchange",
    "Kind",
    "Report",
    "Segment",
    "Transaction",
    "acknowledge",
    "check",
    "check_transaction",
    "compose",
    "compose_bytes",
    "from_json",
    "iter_transactions",
    "parse",
    "segment",
    "show",
    "to_json",
    "write",
]
