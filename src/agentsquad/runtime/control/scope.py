"""Scope: the names an expression of a manifest sees, and what doing a graph
needs of whoever does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentsquad.runtime.control.expression import Expression
from agentsquad.runtime.engine.contract import WorkflowContext

Node = Mapping[str, Any]


class Scope:
    """The names an expression sees."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = dict(names)

    def with_(self, **more: Any) -> Scope:
        """Return a scope with more names; `nodes` stays shared."""
        return Scope({**self.names, **more})


class Doer(Protocol):
    """One run of one manifest, as the forms of a graph see it."""

    ctx: WorkflowContext
    spec: dict[str, Any]

    async def graph(self, nodes: Sequence[Node], scope: Scope) -> None:
        """Do sibling nodes, each as soon as what it depends on is done."""
        ...

    async def node(self, node: Node, scope: Scope) -> Any:
        """Do one node and return its output."""
        ...

    def outputs_of(self, nodes: Sequence[Node]) -> dict[str, Any]:
        """Return what some nodes gave, by id."""
        ...

    def holds(self, text: str, scope: Scope) -> bool:
        """Return whether a condition is true."""
        ...

    def evaluated(self, part: Expression, scope: Scope) -> Any:
        """Return the value of one expression."""
        ...

    def filled(self, value: Any, scope: Scope) -> Any:
        """Return a value with its expressions replaced by what they give."""
        ...
