"""What others may know of transactions: statements, participants and errors.

Event payloads, each in the stream `transaction/<key>`:
    transaction.opened   key, run, position, parts: [{database, gid}], at_ms,
                         timeout_ms
    transaction.decided  commit (bool), output or reason
    transaction.ended    nothing: every participant did what was decided
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from agentsquad.kernel.errors import (
    ConflictError,
    DeadlineError,
    InvalidError,
    MissingError,
    UnavailableError,
)

STREAM = "transaction/"
BEGUN = "transaction.opened"
DECIDED = "transaction.decided"
DONE = "transaction.ended"
TYPES = (BEGUN, DECIDED, DONE)
PREFIX = "squad-"
"""How the names of our branches begin at a participant."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement; `params` stand for each %s in it."""

    sql: Annotated[
        str,
        Meta(
            description="A statement of the database's own language; %s stands for a parameter.",
            examples=["update stock set left_over = left_over - %s where sku = %s"],
            min_length=1,
        ),
    ]
    params: Annotated[
        tuple[str | int | float | bool | None, ...], Meta(description="What each %s stands for.")
    ] = ()
    rows: Annotated[
        int | None,
        Meta(description="How many rows it must touch or return; else nothing happens anywhere."),
    ] = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is done in one database."""

    database: Annotated[
        str, Meta(description="A resource of kind Database, by name.", examples=["orders"])
    ]
    statements: Annotated[
        tuple[Statement, ...], Meta(description="What is done there, in order.", min_length=1)
    ]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one statement did: rows touched, and those it returned."""

    rows: int
    returned: tuple[dict[str, Any], ...] = ()


class Participant(Protocol):
    """One database that can promise to commit.

    A branch is named `gid`. Law: after `prepare` returned, the branch survives
    the crash of either side until `commit` or `rollback`; both do nothing for a
    branch that is not there.
    """

    async def prepare(
        self, gid: str, statements: Sequence[Statement], *, timeout_ms: int
    ) -> list[Result]:
        """Do the statements and promise to be able to commit them."""
        ...

    async def commit(self, gid: str) -> None:
        """Make a promised branch count; UnavailableError when it may not have
        been heard."""
        ...

    async def rollback(self, gid: str) -> None:
        """Forget a branch, promised or not."""
        ...

    async def promised(self) -> list[str]:
        """Return the branches of ours that wait to be told."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Participants(Protocol):
    """The databases of an installation, by the name of their resource."""

    async def participant(self, name: str) -> Participant:
        """Return one; DatabaseMissingError when none is declared."""
        ...

    async def names(self) -> list[str]:
        """Return the names of all."""
        ...


class DatabaseSource(Protocol):
    """Where databases are declared, and the environment their addresses are
    in."""

    async def databases(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the spec of every Database, by name."""
        ...

    def variable(self, name: str) -> str | None:
        """Return a variable of the environment."""
        ...


class StatementError(InvalidError):
    """A database does not understand or does not allow a statement."""

    code = "transaction.statement"


class RowsError(ConflictError):
    """A statement touched another number of rows than it must."""

    code = "transaction.rows"


class RefusedError(ConflictError):
    """A database could not promise to commit: somebody else changed it."""

    code = "transaction.refused"


class DatabaseUnavailableError(UnavailableError):
    """A database cannot be reached."""

    code = "transaction.unavailable"


class DatabaseDeadlineError(DeadlineError):
    """A database took too long to promise."""

    code = "transaction.deadline"


class DatabaseMissingError(MissingError):
    """No database of this name is declared."""

    code = "transaction.database"


class DatabaseSettingError(InvalidError):
    """A database's address is missing or not one."""

    code = "transaction.address"


def safe(gid: str) -> str:
    """Return a branch's name for use inside quotes; only ours get here."""
    if not gid.replace("-", "").replace(".", "").isalnum():
        raise StatementError(f"{gid!r} is not the name of a branch")
    return gid
