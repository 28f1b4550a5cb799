"""PostgreSQL as a participant: PREPARE TRANSACTION, COMMIT PREPARED and
ROLLBACK PREPARED (PostgreSQL documentation, part VI).

The server must allow it: `max_prepared_transactions` above 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from agentsquad.kernel.errors import SquadError, UnsupportedError
from agentsquad.runtime.transactions.contract import (
    PREFIX,
    DatabaseDeadlineError,
    DatabaseSettingError,
    DatabaseUnavailableError,
    RefusedError,
    Result,
    RowsError,
    Statement,
    StatementError,
    safe,
)

MISSING = "42704"  # undefined_object: nobody promised this, or it is done already
BUSY = "55000"  # object_not_in_prerequisite_state
BUSY_MS = 50
CONNECT_S = 5


class PostgresqlParticipant:
    """One PostgreSQL database; a connection for each thing that is done."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url

    async def prepare(
        self, gid: str, statements: Sequence[Statement], *, timeout_ms: int
    ) -> list[Result]:
        """Do the statements and promise to be able to commit them."""
        try:
            async with asyncio.timeout(timeout_ms / 1000), self._open() as connection:
                await connection.execute("BEGIN")
                await connection.execute(f"SET LOCAL statement_timeout = {int(timeout_ms)}")
                results = [await self._do(connection, one) for one in statements]
                await connection.execute(f"PREPARE TRANSACTION '{safe(gid)}'")
                return results
        except TimeoutError as error:
            raise DatabaseDeadlineError(
                f"{self._name} did not promise within {timeout_ms} ms"
            ) from error

    async def _do(self, connection: Any, statement: Statement) -> Result:
        from psycopg.rows import dict_row

        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement.sql, statement.params or None)
            returned = await cursor.fetchall() if cursor.description else []
            rows = max(cursor.rowcount, 0)
        if statement.rows is not None and rows != statement.rows:
            raise RowsError(
                f"{self._name}: {statement.sql!r} touched {rows} rows, not {statement.rows}"
            )
        return Result(rows=rows, returned=tuple(msgspec.to_builtins(one) for one in returned))

    async def commit(self, gid: str) -> None:
        """Make a promised branch count."""
        await self._finish("COMMIT", gid)

    async def rollback(self, gid: str) -> None:
        """Forget a branch."""
        await self._finish("ROLLBACK", gid)

    async def _finish(self, word: str, gid: str) -> None:
        import psycopg

        async with self._open() as connection:
            while True:
                try:
                    await connection.execute(f"{word} PREPARED '{safe(gid)}'")
                except psycopg.Error as error:
                    if error.sqlstate == MISSING:
                        return
                    if error.sqlstate != BUSY:
                        raise
                    # Another connection is about to end it; see how that goes.
                    await asyncio.sleep(BUSY_MS / 1000)
                    continue
                return

    async def promised(self) -> list[str]:
        """Return the branches of ours that wait to be told."""
        async with self._open() as connection:
            cursor = await connection.execute(
                "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() "
                "AND gid LIKE %s ORDER BY prepared, gid",
                (f"{PREFIX}%",),
            )
            return [str(row[0]) for row in await cursor.fetchall()]

    async def close(self) -> None:
        """Nothing stays open."""

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Any]:
        """Return a connection; what goes wrong on it becomes an error of
        ours."""
        try:
            import psycopg
        except ImportError as error:
            raise UnsupportedError(
                "transactions over PostgreSQL need psycopg",
                code="extra.missing",
                hint="pip install 'agentsquad[postgres]'",
            ) from error
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_S
            )
        except psycopg.Error as error:
            raise self._unreachable(error) from error
        try:
            yield connection
        except SquadError:
            raise
        except psycopg.Error as error:
            raise self._ours(error) from error
        finally:
            await connection.close()

    def _ours(self, error: Any) -> SquadError:
        """Return what an error of the database means to us; its class is the
        first two letters of its SQLSTATE."""
        state = cast(str, error.sqlstate or "")
        text = f"{self._name}: {str(error).splitlines()[0] if str(error) else state}"
        if state == BUSY and "max_prepared_transactions" in str(error):
            return DatabaseSettingError(
                f"{self._name} does not allow prepared transactions",
                hint="set max_prepared_transactions above 0 and start the server again",
            )
        if state == "57014":
            return DatabaseDeadlineError(text)
        if state[:2] in ("08", "53", "57", "58", ""):
            return self._unreachable(error)
        if state[:2] in ("23", "40", "55"):
            return RefusedError(text)
        return StatementError(text)

    def _unreachable(self, error: Exception) -> DatabaseUnavailableError:
        return DatabaseUnavailableError(
            f"database {self._name} cannot be reached: {type(error).__name__}",
            private=str(error),
        )
