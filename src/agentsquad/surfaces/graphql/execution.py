"""Carries one GraphQL request out: parse, validate, weigh, execute.

Errors of ours keep their code, hint and details under `extensions`; what nobody
foresaw says nothing of what it was.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    subscribe,
    validate,
)

from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.surfaces.gateway.http import problem_of
from agentsquad.surfaces.graphql.contract import Asked, Limits, OneAtATimeError
from agentsquad.surfaces.graphql.limit import Weight

DOCUMENTS_MAX = 256  # parsed and found valid, kept
ERRORS_MAX = 20


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a client sends (GraphQL over HTTP)."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


class Prepared(msgspec.Struct, frozen=True):
    """A request that may be carried out."""

    document: DocumentNode
    operation: OperationDefinitionNode
    request: Request

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.operation.operation


class RefusedError(InvalidError):
    """The document cannot be carried out."""

    code = "graphql.invalid"

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Executor:
    """Carries requests out against one schema."""

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self.schema = schema
        self.limits = limits
        self._rules = list(specified_rules)
        if not limits.introspection:
            self._rules.append(NoSchemaIntrospectionCustomRule)
        self._documents: dict[str, DocumentNode] = {}

    def prepare(self, request: Request) -> Prepared:
        """Return what a request asks for; RefusedError names every fault."""
        document = self._document(request.query)
        operation = get_operation_ast(document, request.operation_name)
        if operation is None:
            wanted = request.operation_name
            said = f"no operation named {wanted!r}" if wanted else "say which operation is meant"
            raise RefusedError([GraphQLError(said)])
        try:
            Weight(document, request.variables or {}, self.limits).check(operation)
        except SquadError as error:
            raise RefusedError([GraphQLError(error.message, original_error=error)]) from error
        return Prepared(document, operation, request)

    def _document(self, query: str) -> DocumentNode:
        known = self._documents.get(query)
        if known is not None:
            return known
        try:
            document = parse(query, max_tokens=self.limits.tokens)
        except GraphQLError as error:
            raise RefusedError([error]) from error
        except RecursionError:
            raise RefusedError([GraphQLError("the document is nested too deep")]) from None
        errors = validate(self.schema, document, self._rules, max_errors=ERRORS_MAX)
        if errors:
            raise RefusedError(errors)
        if len(self._documents) >= DOCUMENTS_MAX:
            self._documents.pop(next(iter(self._documents)))
        self._documents[query] = document
        return document

    async def run(self, prepared: Prepared, asked: Asked) -> dict[str, Any]:
        """Carry a query or mutation out."""
        if asked.key is not None and prepared.kind is OperationType.MUTATION:
            if len(prepared.operation.selection_set.selections) != 1:
                raise OneAtATimeError()
        else:
            asked.key = None
        found = execute(
            self.schema,
            prepared.document,
            context_value=asked,
            variable_values=prepared.request.variables,
            operation_name=prepared.request.operation_name,
        )
        result = await found if inspect.isawaitable(found) else found
        assert isinstance(result, ExecutionResult)
        return formatted(result)

    async def stream(self, prepared: Prepared, asked: Asked) -> AsyncIterator[dict[str, Any]]:
        """Carry a subscription out: results, one after the other."""
        found = subscribe(
            self.schema,
            prepared.document,
            context_value=asked,
            variable_values=prepared.request.variables,
            operation_name=prepared.request.operation_name,
        )
        results = await found if inspect.isawaitable(found) else found
        if isinstance(results, ExecutionResult):
            yield formatted(results)
            return
        async for result in results:
            yield formatted(result)


def formatted(result: ExecutionResult) -> dict[str, Any]:
    """Return a result as it is sent."""
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = [formatted_error(one) for one in result.errors]
    body["data"] = result.data
    return body


def formatted_error(error: GraphQLError) -> Mapping[str, Any]:
    """Return one error as it is sent."""
    cause = error.original_error
    body: dict[str, Any] = dict(error.formatted)
    if isinstance(cause, GraphQLError) or cause is None:
        return body
    status, told = problem_of(cause)
    body["message"] = told.pop("detail")
    body["extensions"] = {
        name: value for name, value in told.items() if name not in ("type", "title")
    } | {"status": status}
    return body
