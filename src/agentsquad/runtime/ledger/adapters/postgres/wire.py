"""Wire: one connection to PostgreSQL, several statements a round trip.

On libpq's own calls (`psycopg.pq`), since a commit is a handful of prepared
statements that are always the same. Everything blocks, like a disk; nothing
blocks for ever: a server that is silent for `ANSWER_S` counts as lost, also
when only the network in between is. The one place where PostgreSQL's errors
become errors of the ledger.
"""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from psycopg import Error, pq

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger.adapters.postgres.target import Target
from agentsquad.runtime.ledger.contract import (
    AccessDeniedError,
    BusyError,
    ClosedError,
    DamagedError,
    DatabaseMissingError,
    FullError,
    LapsedError,
    ReadFailedError,
    ReadOnlyError,
    SchemaError,
    UnreachableError,
)

ANSWER_S = 8.0
PATIENCE_S = 10.0  # how long a server may be away, as while it restarts, before callers are told
PAUSE_S = 0.05
# What a stopped process may hold others up for; then its transaction is ended.
IDLE_IN_TRANSACTION_MS = 1_500
LOCK_MS = 10_000

_SESSION = (
    "SELECT set_config('search_path', $1, false),"
    " set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN"
    " ('off', 'local') THEN 'on' ELSE current_setting('synchronous_commit') END, false),"
    f" set_config('idle_in_transaction_session_timeout', '{IDLE_IN_TRANSACTION_MS}', false),"
    f" set_config('lock_timeout', '{LOCK_MS}', false),"
    " set_config('client_min_messages', 'warning', false)"
)
_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_numbers = itertools.count()


class LostError(Exception):
    """The connection is gone; what was under way may have been done or not."""


class Statement:
    """A statement that is prepared once in each connection; its parameters and
    results are binary.
    """

    __slots__ = ("formats", "name", "oids", "sql")

    def __init__(self, sql: str, *oids: int) -> None:
        self.sql = sql.encode()
        self.oids = oids
        self.name = b"s%d" % next(_numbers)
        self.formats = [1] * len(oids)


Command = tuple[Statement, Sequence[bytes | None]]
BEGIN, COMMIT, ROLLBACK = Statement("BEGIN"), Statement("COMMIT"), Statement("ROLLBACK")


class Wire:
    """A connection that comes back after the server was away."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.inside = False  # whether a transaction is open
        self._link: Any = None
        self._prepared: set[Statement] = set()
        self._closed = False

    # --- asking

    def ask(self, *commands: Command) -> list[Any]:
        """Carry out statements that may be repeated; wait for a server that is
        away for a while.
        """
        if self.inside:
            try:
                return self.run(*commands)
            except LostError as error:
                raise self.lapsed(error) from error
        until: float | None = None
        while True:
            try:
                return self.run(*commands)
            except LostError as error:
                now = time.monotonic()
                until = until or now + PATIENCE_S
                if now > until:
                    raise self.unreachable(error) from error
            time.sleep(PAUSE_S)

    def run(self, *commands: Command) -> list[Any]:
        """Carry out statements in one round trip and return their results.

        Raises the ledger's error for the first that fails, LostError when the
        connection is gone.
        """
        link = self._link or self._connect()
        expected: list[Statement | None] = []  # what is prepared; None: a result
        fresh: set[Statement] = set()
        try:
            for statement, values in commands:
                if statement not in self._prepared and statement not in fresh:
                    link.send_prepare(statement.name, statement.sql, statement.oids)
                    fresh.add(statement)
                    expected.append(statement)
                link.send_query_prepared(
                    statement.name, values, param_formats=statement.formats, result_format=1
                )
                expected.append(None)
            link.pipeline_sync()
            return self._results(link, expected)
        except Error as error:
            raise self._lost(str(error)) from error

    def _results(self, link: Any, expected: list[Statement | None]) -> list[Any]:
        until = time.monotonic() + ANSWER_S
        found: list[Any] = []
        failure: Any = None
        for prepared in expected:
            result = self._next(link, until)
            while (more := self._next(link, until)) is not None:
                result = more
            if result is None or (result.status not in _OK and link.status != pq.ConnStatus.OK):
                raise self._lost(_text(link.error_message))
            if result.status not in _OK:
                failure = failure or result
            elif prepared is not None:
                self._prepared.add(prepared)
            else:
                found.append(result)
        synced = self._next(link, until)
        if synced is None or synced.status != pq.ExecStatus.PIPELINE_SYNC:
            raise self._lost(_text(link.error_message))
        if failure is not None:
            raise self._failed(failure)
        return found

    def _next(self, link: Any, until: float) -> Any:
        """Return the next result, None where one command's results end."""
        while link.is_busy():
            poll = select.poll()
            poll.register(link.socket, select.POLLIN)
            if not poll.poll(max(0.0, until - time.monotonic()) * 1_000):
                raise self._lost(f"no answer within {ANSWER_S:g} s")
            link.consume_input()
        return link.get_result()

    # --- connecting

    def _connect(self) -> Any:
        if self._closed:
            raise ClosedError(hint="open it again")
        link = pq.PGconn.connect(self.target.conninfo)
        if link.status != pq.ConnStatus.OK:
            text = _text(link.error_message)
            link.finish()
            refusal = self._refused(text)
            if refusal is not None:
                raise refusal
            raise LostError(text)
        self._link, self.inside = link, False
        self._prepared.clear()
        result = link.exec_params(_SESSION.encode(), [self.target.schema.encode()])
        if result.status not in _OK:
            if link.status != pq.ConnStatus.OK:
                raise self._lost(_text(link.error_message))
            raise self._failed(result)
        link.enter_pipeline_mode()
        return link

    def drop(self) -> None:
        """Let go of the connection; the next statement makes another."""
        link, self._link, self.inside = self._link, None, False
        self._prepared.clear()
        if link is not None:
            with suppress(Error):
                link.finish()

    def close(self) -> None:
        """Let go of it for good."""
        self._closed = True
        self.drop()

    @property
    def backend(self) -> int:
        """The server's process for this connection, 0 without one."""
        return 0 if self._link is None else int(self._link.backend_pid)

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as known."""
        return self._link is not None

    # --- naming what goes wrong

    def unreachable(self, error: Exception) -> UnreachableError:
        """Return the error for a server that was away for too long."""
        return UnreachableError(
            f"{self.target.shown} does not answer",
            hint="is the server running, and may this machine reach it?",
            retry_after_ms=1_000,
            private=str(error),
        )

    def lapsed(self, error: Exception) -> LapsedError:
        """Return the error for a transaction that came to nothing."""
        return LapsedError(
            f"{self.target.shown}: the connection was lost; nothing was written",
            hint="try again",
            private=str(error),
        )

    def _lost(self, text: str) -> LostError:
        self.drop()
        return LostError(text.strip())

    def _refused(self, text: str) -> SquadError | None:
        """Return why nobody is let in; None when trying again may help."""
        shown = self.target.shown
        if "does not exist" in text and "database" in text:
            return DatabaseMissingError(
                f"{shown}: there is no such database", hint="createdb NAME", private=text
            )
        if any(mark in text for mark in ("authentication failed", "no password", "pg_hba")) or (
            "does not exist" in text and "role" in text
        ):
            return AccessDeniedError(
                f"{shown} lets nobody in with this name and password",
                hint="correct SQUAD_STORE, or put the password into ~/.pgpass",
                private=text,
            )
        if any(mark in text for mark in ("certificate", "sslmode", "does not support SSL", "TLS")):
            return AccessDeniedError(
                f"{shown}: no connection as secure as asked for",
                hint="look at sslmode, sslrootcert, sslcert and sslkey of the address",
                private=text,
            )
        return None

    def _failed(self, result: Any) -> SquadError:
        """Return the error of the ledger for one of the server's."""
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        said = _text(result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"")
        shown, private = self.target.shown, f"{state} {said}"
        if state in ("53100", "53400"):
            return FullError(hint="free some space on the server, then try again", private=private)
        if state in ("55P03", "57014", "40001", "40P01", "53300", "53200"):
            return BusyError(
                hint="another process holds the ledger for too long: look for it",
                retry_after_ms=1_000,
                private=private,
            )
        if state == "23505":
            return LapsedError(
                f"{shown}: another process was faster; nothing was written",
                hint="read again and decide again",
                details={"taken": True},
                private=private,
            )
        if state == "25006":
            return ReadOnlyError(
                f"{shown} takes no writes",
                hint="it is a copy, or set to read only: name the server that takes writes",
                private=private,
            )
        if state == "42501":
            return AccessDeniedError(
                f"{shown}: this user may not do that",
                hint="GRANT CREATE ON DATABASE, or let its owner create the schema",
                private=private,
            )
        if state.startswith("XX") or state in ("58030", "58P01"):
            return DamagedError(
                f"{shown} is damaged", hint="restore it from a backup", private=private
            )
        if state in ("42P01", "42703", "3F000"):
            return SchemaError(
                f"{shown} holds no ledger of this release",
                hint="give another schema: …?schema=NAME",
                private=private,
            )
        return ReadFailedError(f"{shown}: {said}", hint="look at the server's log", private=private)


def _text(data: bytes | str) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data
