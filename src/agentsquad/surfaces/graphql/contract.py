"""What a GraphQL endpoint is told, what a request carries through it, and its
errors."""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError, LimitError
from agentsquad.surfaces.gateway.contract import Caller, Gateway

SURFACE = "graphql"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one document may ask for.

    `cost` counts fields, those of lists once for each item that may come;
    `roots` are fields at the top, each of which is one call or one loading.
    """

    depth: int = 15
    cost: int = 20_000
    roots: int = 50
    tokens: int = 10_000
    body: int = 1024 * 1024  # bytes
    introspection: bool = True


class TooDeepError(LimitError):
    """The document is nested too deep."""

    code = "graphql.depth"


class TooCostlyError(LimitError):
    """The document asks for too much at once."""

    code = "graphql.cost"


class OneAtATimeError(InvalidError):
    """A key belongs to one call: send one field with it."""

    code = "graphql.key"


class Asked:
    """One operation on its way: who asks, by which gateway, with which key, and
    what was loaded for it already."""

    __slots__ = ("caller", "gateway", "key", "loaders")

    def __init__(self, gateway: Gateway, caller: Caller, key: str | None = None) -> None:
        self.gateway = gateway
        self.caller = caller
        self.key = key
        self.loaders: dict[Any, Any] = {}

    def within(self, namespace: str | None) -> Caller:
        """Return who asks, in a namespace that a field names."""
        if namespace is None or namespace == self.caller.namespace:
            return self.caller
        return msgspec.structs.replace(self.caller, namespace=namespace)
