"""Schema: the tables of a ledger, made once under a lock."""

from __future__ import annotations

from agentsquad.runtime.ledger.adapters.postgres import codec
from agentsquad.runtime.ledger.adapters.postgres.wire import (
    BEGIN,
    COMMIT,
    ROLLBACK,
    Statement,
    Wire,
)
from agentsquad.runtime.ledger.contract import SchemaError

FORMAT = 1

_TABLES = (
    "CREATE TABLE meta (id int4 PRIMARY KEY CHECK (id = 1), format int4 NOT NULL)",
    # One row that every commit changes, under whose lock all commits stand: it
    # stays on its page.
    "CREATE TABLE head (id int4 PRIMARY KEY CHECK (id = 1), size int8 NOT NULL,"
    " root bytea NOT NULL, token int8 NOT NULL) WITH (fillfactor = 10)",
    'CREATE TABLE type (id int4 PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE)',
    "CREATE TABLE event (seq int8 PRIMARY KEY, back int8 NOT NULL, type int4 NOT NULL,"
    " header bytea NOT NULL, salt bytea NOT NULL, payload bytea NOT NULL)",
    "CREATE INDEX event_type ON event (type, seq)",
    'CREATE TABLE stream (id int8 PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,'
    " version int8 NOT NULL, last int8 NOT NULL, leaf bytea NOT NULL) WITH (fillfactor = 70)",
    "CREATE TABLE chapter (stream int8, number int8, places int8[] NOT NULL,"
    " PRIMARY KEY (stream, number))",
    "CREATE TABLE tile (level int4, number int8, hashes bytea NOT NULL,"
    " PRIMARY KEY (level, number))",
    "CREATE TABLE blob (digest text PRIMARY KEY, data bytea NOT NULL)",
    'CREATE TABLE key (subject text COLLATE "C" PRIMARY KEY, key bytea,'
    " erasures int8 NOT NULL DEFAULT 0)",
    "CREATE TABLE lease (id int4 PRIMARY KEY CHECK (id = 1), token int8 NOT NULL,"
    " holder text NOT NULL, until timestamptz NOT NULL) WITH (fillfactor = 10)",
    "CREATE UNLOGGED TABLE member (id text PRIMARY KEY, host text NOT NULL, pid int8 NOT NULL,"
    " since timestamptz NOT NULL, seen timestamptz NOT NULL, until timestamptz NOT NULL)",
    f"INSERT INTO meta VALUES (1, {FORMAT})",
    "INSERT INTO head VALUES (1, 0, sha256(''), 0)",
    "INSERT INTO lease VALUES (1, 0, '', 'epoch')",
)
# From the tables: what to_regclass knows may be from before the lock.
_THERE = Statement(
    "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = 'meta'),"
    " EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)",
    codec.TEXT,
)
_LOCK = Statement("SELECT pg_advisory_xact_lock(hashtextextended($1, 7245))", codec.TEXT)
_FORMAT = Statement("SELECT format FROM meta")
_SIZE = Statement(
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 FROM pg_class c"
    " WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 't')",
    codec.TEXT,
)


def ensure(wire: Wire) -> None:
    """Make the tables unless they are there; SchemaError when they are another
    release's.
    """
    schema = wire.target.schema
    name = schema.encode()
    [there] = wire.ask((_THERE, [name]))
    if there.get_value(0, 0) != b"\x01":
        wire.ask((BEGIN, ()), (_LOCK, [name]))
        wire.inside = True
        try:
            [there] = wire.ask((_THERE, [name]))
            if there.get_value(0, 0) != b"\x01":
                made = [] if there.get_value(0, 1) == b"\x01" else [f"CREATE SCHEMA {schema}"]
                wire.ask(*((Statement(sql), ()) for sql in (*made, *_TABLES)))
            wire.ask((COMMIT, ()))
        finally:
            wire.inside = False
            if wire.connected:
                wire.ask((ROLLBACK, ()))
    [found] = wire.ask((_FORMAT, ()))
    if found.ntuples != 1 or codec.number(found.get_value(0, 0)) != FORMAT:
        known = codec.number(found.get_value(0, 0)) if found.ntuples else None
        raise SchemaError(
            f"{wire.target.shown} has format {known}, expected {FORMAT}",
            hint="it was written by another release: use that one, or give another ?schema=NAME",
        )


def weight(wire: Wire) -> int:
    """Return how many bytes the tables and indexes take."""
    [found] = wire.ask((_SIZE, [wire.target.schema.encode()]))
    return codec.number(found.get_value(0, 0))
