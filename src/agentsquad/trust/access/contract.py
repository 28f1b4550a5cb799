"""What others may know of access: what is asked, and the port that answers;
which namespaces there are, and the port that opens them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, DeniedError, InvalidError, MissingError
from agentsquad.kernel.policy import Decision
from agentsquad.trust.identity.contract import Principal

DEFAULT, SYSTEM = "default", "system"
RESERVED = (DEFAULT, SYSTEM)  # always there


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """May a principal do that, there?

    `verb` is the action's name; `effect` its effect; `target` is `KIND/NAME`
    where one resource or run is meant; `surface` says by which way it came.
    """

    verb: str
    effect: str
    namespace: str = DEFAULT
    target: str = ""
    surface: str = ""


class Access(Protocol):
    """Decides; default deny, and what cannot be decided is denied."""

    def decide(self, principal: Principal, ask: Ask) -> Decision:
        """Answer one question, without effects and without waiting, from what
        was followed last."""
        ...

    async def follow(self) -> None:
        """Take in roles that were applied or deleted since."""
        ...

    async def require(self, principal: Principal, ask: Ask) -> Decision:
        """Return the decision that allows it. Raise AccessDeniedError, or
        NamespaceMissingError where the principal holds nothing in that
        namespace; the denial is an event."""
        ...

    async def close(self) -> None:
        """Write down what was denied and not told yet."""
        ...


class Place(Protocol):
    """One namespace, opened: its own log, blobs, keys, engine and policy."""

    @property
    def world(self) -> Any:
        """The registry and the ports (the engine's World)."""
        ...

    async def invoke(
        self,
        action: str,
        value: Any,
        *,
        actor: Actor | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call one action and return its typed output."""
        ...


class Namespaces(Protocol):
    """The namespaces of an installation; in one process each is opened once."""

    async def names(self) -> tuple[str, ...]:
        """Return the namespaces there are, in the order of their names."""
        ...

    async def use(self, namespace: str) -> Place:
        """Return one, open until the installation is closed;
        NamespaceMissingError names the nearest."""
        ...

    def lease(self, namespace: str) -> AbstractAsyncContextManager[Place]:
        """Return one for a while; those that nobody uses are closed when they
        become too many."""
        ...

    async def make(self, namespace: str) -> None:
        """Make what a namespace that was created needs: its log and keys."""
        ...

    async def retire(self, namespace: str) -> None:
        """Close what was deleted here; its log stays where it is."""
        ...


class AccessDeniedError(DeniedError):
    """Your roles or the scopes of this credential do not allow that."""

    code = "access.denied"


class NamespaceMissingError(MissingError):
    """There is no such namespace, or you hold no role in it."""

    code = "namespace.missing"


class NamespaceNameError(InvalidError):
    """That is not the name of a namespace."""

    code = "namespace.name"


class NamespaceExistsError(ConflictError):
    """There is such a namespace, or was: no name is used twice."""

    code = "namespace.exists"


class NamespaceReservedError(InvalidError):
    """That namespace is always there."""

    code = "namespace.reserved"


class NamespaceBusyError(ConflictError):
    """Runs of that namespace are open."""

    code = "namespace.busy"


class NamespaceUnconfirmedError(InvalidError):
    """A namespace is deleted for good: say its name again."""

    code = "namespace.unconfirmed"
