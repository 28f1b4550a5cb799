"""What others may know of imported flows: the outcome, what was not taken
over, and errors."""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError


class NotTaken(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has no equivalent here, or a weaker one.

    `severe` says that the flow does not do without it: a node that fails
    stands in its place.
    """

    at: str
    construct: str
    why: str
    severe: bool = True


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A flow as an AgentWorkflow resource, and what was not taken over."""

    language: str
    name: str
    resource: dict[str, Any]
    not_taken: tuple[NotTaken, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it does all that the original did."""
        return not any(one.severe for one in self.not_taken)


class FlowFileError(InvalidError):
    """A file is no flow in a language that is read."""

    code = "flow.file"


class UntranslatableError(InvalidError):
    """An expression has no equivalent in CEL."""

    code = "flow.expression"
