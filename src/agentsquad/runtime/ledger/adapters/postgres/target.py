"""Target: which database an address means, and how it may be named in public.

Everything but `schema` is libpq's own: hosts, TLS (`sslmode`, `sslrootcert`,
`sslcert`), service and password files, timeouts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode

from agentsquad.runtime.ledger.contract import ExtraMissingError, UrlInvalidError

EXTRA = "install 'agentsquad[postgres]'"
SCHEMA = "squad"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}", re.ASCII)

# A connection that died must be noticed within seconds, or nobody takes over.
DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "8000",
    "application_name": "squad",
    "client_encoding": "UTF8",
}


@dataclass(frozen=True)
class Target:
    """A database and the schema in it; `shown` has no password."""

    conninfo: bytes
    schema: str
    shown: str

    @property
    def mark(self) -> str:
        """A short name for files of this machine that belong to it."""
        return sha256(self.shown.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"Target({self.shown!r})"


def parse(url: str) -> Target:
    """Return what an address names; UrlInvalidError says what is wrong with it,
    without repeating it.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError as error:
        raise ExtraMissingError(f"a ledger in PostgreSQL needs psycopg: {EXTRA}", hint=EXTRA) from (
            error
        )
    address, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    schema = options.pop("schema", SCHEMA)
    if not _NAME.fullmatch(schema):
        raise UrlInvalidError(
            "the schema of the ledger's address is not a plain name",
            hint="at most 48 of a-z, 0-9 and _: postgresql://host/database?schema=squad",
        )
    try:
        parts = conninfo_to_dict(f"{address}?{urlencode(options)}" if options else address)
        ports = str(parts.get("port", "")).split(",")
        if not all(port.isdigit() or not port for port in ports):
            raise ProgrammingError("a port is a number")
    except ProgrammingError:
        raise UrlInvalidError(
            "the address of the ledger is not one of PostgreSQL",
            hint="postgresql://user:password@host:5432/database?sslmode=verify-full",
        ) from None
    given = {name: str(value) for name, value in parts.items() if value is not None}
    host = given.get("host") or given.get("hostaddr") or given.get("service") or "localhost"
    port = f":{given['port']}" if "port" in given else ""
    shown = f"postgresql://{host}{port}/{given.get('dbname', '')}?schema={schema}"
    return Target(make_conninfo(**{**DEFAULTS, **given}).encode(), schema, shown)
