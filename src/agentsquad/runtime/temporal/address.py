"""Address: which Temporal a `SQUAD_ENGINE` names, and how it is to be used."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from agentsquad.runtime.temporal.contract import AddressError

SCHEME = "temporal://"
EXAMPLE = "temporal://localhost:7233/default?queue=agentsquad"
PORT = 7233
SHORTEST_LOST_MS = 500
SHORTEST_HISTORY = 20
LONGEST_HISTORY = 40_000  # Temporal itself ends an execution at 51,200 events


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace and a queue of a Temporal server.

    `lost_after_ms` is how long a worker may be silent before its step is given
    to another; `history_max` after how many events of Temporal's own history a
    run goes on in a new execution.
    """

    host: str
    port: int = PORT
    namespace: str = "default"
    queue: str = "agentsquad"
    lost_after_ms: int = 10_000
    history_max: int = 4_000
    tls: bool = False

    @property
    def target(self) -> str:
        """Where the server listens."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster is shown, and how it is known: an API key, or files with
    certificates in PEM."""

    api_key: str | None = None
    authority: str | None = None
    certificate: str | None = None
    private_key: str | None = None


def credentials(variables: Mapping[str, str]) -> Credentials:
    """Return those an environment names; AddressError where half of a pair is
    missing."""
    found = Credentials(
        api_key=variables.get("SQUAD_TEMPORAL_API_KEY") or None,
        authority=variables.get("SQUAD_TEMPORAL_CA") or None,
        certificate=variables.get("SQUAD_TEMPORAL_CERT") or None,
        private_key=variables.get("SQUAD_TEMPORAL_KEY") or None,
    )
    if (found.certificate is None) != (found.private_key is None):
        raise AddressError(
            "a client certificate needs its private key, and the key its certificate",
            hint="set SQUAD_TEMPORAL_CERT and SQUAD_TEMPORAL_KEY, two files in PEM",
        )
    return found


def parse(text: str) -> Address:
    """Return the address that a URL names; AddressError says what is wrong with
    it."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(text, str(error)) from error
    if parts.scheme != "temporal" or not host:
        raise _wrong(text, "it is not temporal://HOST…")
    if parts.username or parts.password:
        raise _wrong("temporal://…", "names and passwords do not belong into it")
    namespace = unquote(parts.path.strip("/"))
    if "/" in namespace:
        raise _wrong(text, f"{namespace!r} is not the name of a namespace")
    known: dict[str, str | int | bool] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "queue" and value:
            known[name] = value
        elif name in ("lost_after_ms", "history_max") and value.isdecimal():
            known[name] = int(value)
        elif name == "tls" and value in ("on", "off"):
            known[name] = value == "on"
        else:
            raise _wrong(text, f"{name}={value} is not understood")
    found = Address(
        host=host,
        port=port or PORT,
        namespace=namespace or "default",
        **known,  # type: ignore[arg-type]
    )
    if found.lost_after_ms < SHORTEST_LOST_MS:
        raise _wrong(text, f"lost_after_ms is at least {SHORTEST_LOST_MS}")
    if not SHORTEST_HISTORY <= found.history_max <= LONGEST_HISTORY:
        raise _wrong(text, f"history_max is between {SHORTEST_HISTORY} and {LONGEST_HISTORY}")
    return found


def _wrong(text: str, why: str) -> AddressError:
    return AddressError(f"SQUAD_ENGINE {text!r}: {why}", hint=f"embedded, or {EXAMPLE}")
