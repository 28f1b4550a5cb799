"""Limits: how deep, how wide and how costly a document may be, judged before
any of it is carried out.

Every field counts one, those below a list as often as the list is long: by its
`limit`, or by what a page holds. Fragments are followed; a document without a
cycle is finite, and cycles are refused by validation before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from agentsquad.surfaces.graphql.contract import Limits, TooCostlyError, TooDeepError

PAGE = 100
PAGED = ("items", "events")
INTROSPECTION = ("__schema", "__type", "__typename")


class Weight:
    """Weighs one operation."""

    def __init__(
        self, document: DocumentNode, variables: Mapping[str, Any], limits: Limits
    ) -> None:
        self._fragments = {
            one.name.value: one
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self._variables = variables
        self._limits = limits

    def check(self, operation: OperationDefinitionNode) -> int:
        """Return what it costs; TooDeepError or TooCostlyError beyond the
        limits."""
        roots = sum(1 for _ in self._fields(operation.selection_set))
        if roots > self._limits.roots:
            raise TooCostlyError(
                f"{roots} fields at the top; at most {self._limits.roots} are taken",
                details={"roots": roots, "limit": self._limits.roots},
            )
        return self._weigh(operation.selection_set, 1, (1, False), 0)

    def _weigh(
        self, selection: SelectionSetNode, depth: int, times: tuple[int, bool], cost: int
    ) -> int:
        """`times` is how often it comes, and whether a page above has counted
        its items already."""
        limits = self._limits
        if depth > limits.depth:
            raise TooDeepError(
                f"the document is nested deeper than {limits.depth}",
                details={"limit": limits.depth},
            )
        for field in self._fields(selection):
            cost += times[0]
            if cost > limits.cost:
                raise TooCostlyError(
                    f"the document may cost more than {limits.cost}",
                    hint="ask for fewer fields, or for smaller pages with `limit`",
                    details={"limit": limits.cost},
                )
            if field.selection_set is not None and field.name.value not in INTROSPECTION:
                many, paged = self._length(field, counted=times[1])
                below = (times[0] * many, paged)
                cost = self._weigh(field.selection_set, depth + 1, below, cost)
        return cost

    def _fields(self, selection: SelectionSetNode) -> Any:
        for one in selection.selections:
            if isinstance(one, FieldNode):
                yield one
            elif isinstance(one, InlineFragmentNode):
                yield from self._fields(one.selection_set)
            elif isinstance(one, FragmentSpreadNode):
                found = self._fragments.get(one.name.value)
                if found is not None:
                    yield from self._fields(found.selection_set)

    def _length(self, field: FieldNode, *, counted: bool) -> tuple[int, bool]:
        """Return how many come of a field, and whether its page is counted
        with that."""
        for argument in field.arguments or ():
            name, value = argument.name.value, argument.value
            if name == "representations":
                given = self._given(value)
                return (max(1, len(given)) if isinstance(given, list) else PAGE), False
            if name == "limit":
                if isinstance(value, IntValueNode):
                    return max(1, int(value.value)), True
                asked = self._given(value)
                return (max(1, asked) if isinstance(asked, int) else PAGE), True
        return (PAGE if field.name.value in PAGED and not counted else 1), False

    def _given(self, value: ValueNode) -> Any:
        return self._variables.get(value.name.value) if isinstance(value, VariableNode) else None
