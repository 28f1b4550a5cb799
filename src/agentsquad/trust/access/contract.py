"""What others may know of access: what is asked, and the port that answers."""

from __future__ import annotations

from typing import Protocol

import msgspec

from agentsquad.kernel.errors import DeniedError, MissingError
from agentsquad.kernel.policy import Decision
from agentsquad.trust.identity.contract import Principal


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """May a principal do that, there?

    `verb` is the action's name; `effect` its effect; `target` is `KIND/NAME`
    where one resource or run is meant; `surface` says by which way it came.
    """

    verb: str
    effect: str
    namespace: str = "default"
    target: str = ""
    surface: str = ""


class Access(Protocol):
    """Decides; default deny, and what cannot be decided is denied."""

    def decide(self, principal: Principal, ask: Ask) -> Decision:
        """Answer one question, without effects and without waiting."""
        ...

    async def require(self, principal: Principal, ask: Ask) -> None:
        """Raise AccessDeniedError, or NamespaceMissingError where the
        principal holds nothing in that namespace; the denial is an event."""
        ...


class AccessDeniedError(DeniedError):
    """Your roles or the scopes of this credential do not allow that."""

    code = "access.denied"


class NamespaceMissingError(MissingError):
    """There is no such namespace, or you hold no role in it."""

    code = "namespace.missing"
