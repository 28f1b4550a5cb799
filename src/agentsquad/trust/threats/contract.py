"""What others may know of threats: a Hit, the verdict on it, and the port that
gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Literal, Protocol, runtime_checkable

import msgspec

from agentsquad.kernel.errors import (
    DeniedError,
    InvalidError,
    LimitError,
    SquadError,
    UnsupportedError,
)
from agentsquad.kernel.ports import EventStore


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One request as a shield sees it.

    Header names are in small letters. `route` is the template of its path
    (`/v1/actions/{name}`), `body` what was read of it so far, `actor` and
    `namespace` are empty before anybody was recognised, `cost` is 1 where
    nothing else is known.
    """

    surface: str
    method: str
    path: str
    route: str = ""
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    address: str = ""
    actor: str = ""
    namespace: str = ""
    cost: int = 1


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a shield says: `pass`, `log` (let it go, remember it), `challenge`
    (let it show that it is no machine) or `refuse`; `rules` name why."""

    answer: Literal["pass", "log", "challenge", "refuse"] = "pass"
    rules: tuple[str, ...] = ()
    score: int = 0
    retry_after_ms: int | None = None
    headers: Mapping[str, str] = {}  # RateLimit and RateLimit-Policy
    challenge: str = ""


class Shield(Protocol):
    """Looks at requests before anything else does, and again when it is known
    who asks."""

    @property
    def reads(self) -> bool:
        """Whether it looks at what calls bring along: their input, as JSON."""
        ...

    def outer(self, hit: Hit) -> Verdict:
        """Judge what anybody may send: rate by address, size, attack rules."""
        ...

    def inner(self, hit: Hit) -> Verdict:
        """Judge what a known actor sends: rate by actor, tenant, route and
        cost."""
        ...

    def ended(self, hit: Hit, status: int) -> None:
        """Hear how a request ended, as an HTTP status."""
        ...


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An attack rule that fits a request; `where` names what it fits."""

    rule: str
    score: int
    message: str = ""
    where: str = ""


class Inspector(Protocol):
    """Looks for attacks in a request, by the rules of a rule set."""

    @property
    def about(self) -> str:
        """What it is, with the version of its rules."""
        ...

    def inspect(self, hit: Hit) -> Sequence[Found]:
        """Return the rules that fit."""
        ...


class Places(Protocol):
    """Says in which country addresses are."""

    def country(self, address: str) -> str:
        """Return two letters (ISO 3166), empty where that is not known."""
        ...


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen in a text that a model is to read: an `attempt` where the
    score of its rules reaches the threshold."""

    rules: tuple[str, ...] = ()
    score: int = 0
    attempt: bool = False


class Screen(Protocol):
    """Looks at texts that a model is to read, before it does."""

    @property
    def blocks(self) -> bool:
        """Whether an attempt is refused, not only remembered."""
        ...

    def look(self, texts: Sequence[str]) -> Screened:
        """Return what was seen in them, the worst of them."""
        ...


@runtime_checkable
class Governed(Protocol):
    """A shield whose rules are resources of a log."""

    async def refresh(self, store: EventStore) -> bool:
        """Read the rules anew where the log has grown; say whether they
        changed."""
        ...


STANDING: ContextVar[Mapping[str, str] | None] = ContextVar("standing", default=None)
"""The header fields that say how a request stands with its limits."""


def refusal(verdict: Verdict) -> SquadError | None:
    """Return what a verdict raises, None where the request may go on."""
    if verdict.answer in ("pass", "log"):
        return None
    details: dict[str, object] = {"rules": list(verdict.rules)}
    if verdict.answer == "challenge":
        return ChallengeError(details={**details, "challenge": verdict.challenge})
    if verdict.retry_after_ms is not None:
        return RateLimitError(retry_after_ms=verdict.retry_after_ms, details=details)
    return ShieldError(details=details)


class RateLimitError(LimitError):
    """Too many requests: wait `retry_after_ms`."""

    code = "shield.rate"


class ShieldError(DeniedError):
    """The request looks like an attack and was refused."""

    code = "shield.refused"


class ChallengeError(DeniedError):
    """Too much here looks like a machine that tries doors: solve the challenge
    and ask again with the proof in the header Squad-Proof."""

    code = "shield.challenge"


class ProtectionError(InvalidError):
    """What the server is told about its protection does not fit."""

    code = "shield.setting"


class ExtraMissingError(UnsupportedError):
    """What this protection needs is not installed."""

    code = "shield.extra"


class InjectionError(DeniedError):
    """What the model was to read speaks to it, and not to a person."""

    code = "shield.injection"
