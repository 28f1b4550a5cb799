"""Policy: the decision before each action, as values.

A Decision is recorded with the clauses that decided; replay reads it and never
asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: may `actor` call `action` with `input`, in these
    circumstances?

    `facts` is a JSON object that the workflow or surface adds: the requester,
    approvals already given, amounts by currency, evidence the rule needs.
    """

    actor: str
    roles: tuple[str, ...] = ()
    action: str
    effect: str
    input: Any
    facts: Mapping[str, Any] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered, by which revision of the policy, and which clauses
    decided.

    `clauses` are stable names such as "p2p.limits.over_auto_limit";
    `obligations` are objects such as {"approve": {"roles": ["controller"],
    "count": 1, "because": "amount over 10000"}} or {"mask": ["/iban"]}.
    """

    allow: bool
    reason: str
    revision: str
    clauses: tuple[str, ...] = ()
    obligations: tuple[Mapping[str, Any], ...] = ()


class PolicyEngine(Protocol):
    """Decides; never raises for a rule that fails: a failing rule denies and
    says so."""

    @property
    def revision(self) -> str:
        """Digest of all rules and data, `sha256:…`."""
        ...

    def decide(self, question: Question) -> Decision:
        """Answer one question; default is deny for write and irreversible
        effects."""
        ...

    def query(self, path: str, value: Any) -> Any:
        """Evaluate one rule, for example `data.p2p.matching.result`, on any
        input; JSON in, JSON out."""
        ...
