"""Places: where a namespace keeps what it keeps, and what drives its runs.

Pure. A namespace is a log of its own: a folder, a schema of a database, a
namespace of Temporal. So nothing that reads one log can show what is in
another.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from agentsquad.kernel.errors import UnsupportedError
from agentsquad.trust.access.contract import DEFAULT, SYSTEM
from agentsquad.trust.access.namespace import check_name

EMBEDDED = "embedded"
FOLDER = "namespaces"
PLACEHOLDER = "{namespace}"
SQLITE = "sqlite:///"
POSTGRES = ("postgresql:", "postgres:")
SCHEMA, SCHEMA_MAX = "squad", 48  # as the ledger in PostgreSQL has them
_MARK = 12  # digits of a digest, where a name is too long for a schema


class NamespaceEngineError(UnsupportedError):
    """The engine cannot keep the runs of two namespaces apart."""

    code = "namespace.engine"


def folder_of(home: Path, namespace: str) -> Path:
    """Return the home of a namespace."""
    check_name(namespace)
    return home if namespace == DEFAULT else home / FOLDER / namespace


def store_of(url: str, namespace: str) -> str:
    """Return the address of a namespace's store, from that of `default`."""
    if namespace == DEFAULT:
        return url
    if url.startswith(SQLITE):
        file = Path(url.removeprefix(SQLITE))
        return f"{SQLITE}{folder_of(file.parent, namespace) / file.name}"
    if url.startswith(POSTGRES):
        address, _, query = url.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        options["schema"] = schema_of(options.get("schema", SCHEMA), namespace)
        return f"{address}?{urlencode(options)}"
    return url  # in memory: each one opened is another


def schema_of(schema: str, namespace: str) -> str:
    """Return the schema of a namespace; `-` cannot stand in one, and no
    name has `_`, so two namespaces never share one."""
    name = f"{schema}__{check_name(namespace).replace('-', '_')}"
    if len(name) <= SCHEMA_MAX:
        return name
    mark = sha256(namespace.encode()).hexdigest()[:_MARK]
    return f"{name[: SCHEMA_MAX - _MARK - 2]}_{mark}_"  # no name ends with -


def engine_of(engine: str, namespace: str) -> str:
    """Return what drives the runs of a namespace.

    Runs of one name and key have one id in every namespace, so a namespace of
    Temporal must be of one namespace only: its address says where the name
    goes. The namespace `system` has no runs.
    """
    if PLACEHOLDER in engine:
        return engine.replace(PLACEHOLDER, namespace)
    if engine == EMBEDDED or namespace == DEFAULT:
        return engine
    if namespace == SYSTEM:
        return EMBEDDED
    raise NamespaceEngineError(
        f"runs of the namespace {namespace!r} would mingle with others in Temporal",
        hint=f"SQUAD_ENGINE=temporal://HOST:PORT/squad-{PLACEHOLDER}: a namespace of Temporal each",
    )
