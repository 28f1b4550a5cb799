"""What others may know of threats: a Hit, the verdict on it, and the port that
gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from agentsquad.kernel.errors import DeniedError, LimitError


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
    headers: Mapping[str, str] = {}  # such as RateLimit (RFC 9331 draft)


class Shield(Protocol):
    """Looks at requests before anything else does, and again when it is known
    who asks."""

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


class RateLimitError(LimitError):
    """Too many requests: wait `retry_after_ms`."""

    code = "shield.rate"


class ShieldError(DeniedError):
    """The request looks like an attack and was refused."""

    code = "shield.refused"
