"""What others may know of control: its inputs, outputs, ports and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError

APPLIED = "resource.applied"
DELETED = "resource.deleted"


class TextSource(Protocol):
    """Reads texts by name: files, and "-" for the standard input."""

    def read(self, name: str) -> str:
        """Return the text; MissingError or InvalidError when it cannot."""
        ...


class Expressions(Protocol):
    """Understands CEL, the language of conditions and mappings in manifests."""

    def problem(self, text: str) -> str | None:
        """Return what is wrong with an expression's syntax, None if nothing."""
        ...

    def evaluate(self, text: str, names: Mapping[str, Any]) -> Any:
        """Return an expression's JSON value, else raise ExpressionError."""
        ...


class Shipped(Protocol):
    """The resources this distribution brings along; an applied one of the same
    name goes before them."""

    def resources(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Return all of a kind, in any order."""
        ...


class ApplyInput(msgspec.Struct, frozen=True, kw_only=True):
    """Manifests to apply."""

    file: Annotated[
        tuple[str, ...],
        Meta(
            description="YAML or JSON files with any number of resources; - is standard input",
            examples=[["agent.yaml"]],
        ),
    ]
    plan: Annotated[bool, Meta(description="only say what would change")] = False


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of an apply; `changed` is false when it was so already."""

    kind: str
    name: str
    changed: bool


class ApplyOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What was applied, in the order of the manifests."""

    applied: tuple[Applied, ...]


class GetInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which resources."""

    kind: Annotated[
        str,
        Meta(description="kind, singular or plural, in any case", examples=["agents"]),
    ]
    name: Annotated[str | None, Meta(description="name; without it all of the kind")] = None


class DeleteInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which resource goes."""

    kind: Annotated[str, Meta(description="kind, in any case", examples=["agent"])]
    name: Annotated[str, Meta(description="name", examples=["matcher"])]
    expect: Annotated[str | None, Meta(description="only if this is its revision (ETag)")] = None


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted."""

    kind: str
    name: str


class Location(msgspec.Struct, frozen=True):
    """In which namespace resources are kept here; assembly says."""

    namespace: str = "default"


class ExplainInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to explain."""

    path: Annotated[
        str,
        Meta(
            description="a kind, or a field of its spec after dots",
            examples=["AgentWorkflow.graph.nodes"],
        ),
    ]


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of a kind, explained."""

    name: str
    type: str
    required: bool = False
    description: str = ""
    values: tuple[Any, ...] = ()
    examples: tuple[Any, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A kind or field, and the fields inside it."""

    path: str
    type: str
    description: str
    fields: tuple[Field, ...]


class ResourceMissingError(MissingError):
    """There is no such resource."""

    code = "resource.missing"


class SelectorError(InvalidError):
    """That selects nothing: a selector is written otherwise."""

    code = "selector.invalid"


class CursorError(InvalidError):
    """That is no cursor of this list."""

    code = "cursor.invalid"


class ResourceChangedError(ConflictError):
    """It is not what was read any more: read again, then put."""

    code = "resource.stale"


class ResourceExistsError(ConflictError):
    """There is one of that name already."""

    code = "resource.exists"


class ResourceRealmError(InvalidError):
    """It concerns the whole installation and is kept in the namespace
    system."""

    code = "resource.realm"


class ResourceShippedError(InvalidError):
    """It comes with the program; yours can take its place, nothing removes
    it."""

    code = "resource.shipped"


class SourceMissingError(MissingError):
    """There is no such file."""

    code = "manifest.missing"


class SourceUnreadableError(InvalidError):
    """A file cannot be read as text."""

    code = "manifest.unreadable"


class ExpressionError(InvalidError):
    """An expression in a manifest is not valid or has no value."""

    code = "expression.invalid"
