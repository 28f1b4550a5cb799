"""MariaDB and MySQL as a participant: XA START, END, PREPARE, COMMIT and
ROLLBACK (X/Open XA as these servers speak it).

A promised branch stays with the connection that made it until that ends; from
another one it cannot be told anything, and the server answers as if it knew of
nothing. So the own connection is kept until the branch is told, and who comes
from elsewhere looks into XA RECOVER, which lists both sorts, before believing
that there is nothing to tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

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

T = TypeVar("T")
UNKNOWN_XID = 1397  # XAER_NOTA: not there, or with another connection still
REFUSED = (1062, 1205, 1213, 1451, 1452, 4025, 3819, 1402, 1613, 1614)
LOST = (1040, 1053, 1152, 1927, 2002, 2003, 2006, 2013, 2055)
WAIT_S, PATIENCE_S = 0.05, 5.0
CONNECT_S = 5


class MariadbParticipant:
    """One MariaDB or MySQL database."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._held: dict[str, Any] = {}

    async def prepare(
        self, gid: str, statements: Sequence[Statement], *, timeout_ms: int
    ) -> list[Result]:
        """Do the statements and promise to be able to commit them."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._aside(lambda: self._prepare(gid, statements, timeout_ms))
        except TimeoutError as error:
            raise DatabaseDeadlineError(
                f"{self._name} did not promise within {timeout_ms} ms"
            ) from error

    def _prepare(self, gid: str, statements: Sequence[Statement], timeout_ms: int) -> list[Result]:
        connection = self._connect(timeout_ms / 1000)
        name = safe(gid)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"XA START '{name}'")
                results = [self._do(cursor, one) for one in statements]
                cursor.execute(f"XA END '{name}'")
                cursor.execute(f"XA PREPARE '{name}'")
        except BaseException:
            connection.close()  # which also rolls back what was not promised
            raise
        self._held[gid] = connection
        return results

    def _do(self, cursor: Any, statement: Statement) -> Result:
        cursor.execute(statement.sql, statement.params or None)
        returned = cursor.fetchall() if cursor.description else []
        rows = max(cursor.rowcount, 0)
        if statement.rows is not None and rows != statement.rows:
            raise RowsError(
                f"{self._name}: {statement.sql!r} touched {rows} rows, not {statement.rows}"
            )
        return Result(rows=rows, returned=tuple(msgspec.to_builtins(one) for one in returned))

    async def commit(self, gid: str) -> None:
        """Make a promised branch count."""
        await self._aside(lambda: self._finish("COMMIT", gid))

    async def rollback(self, gid: str) -> None:
        """Forget a branch."""
        await self._aside(lambda: self._finish("ROLLBACK", gid))

    def _finish(self, word: str, gid: str) -> None:
        connection = self._held.pop(gid, None)
        if connection is not None:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"XA {word} '{safe(gid)}'")
                return
            except _errors() as error:
                if _number(error) == UNKNOWN_XID:
                    return
            finally:
                connection.close()
        self._finish_elsewhere(word, gid)

    def _finish_elsewhere(self, word: str, gid: str) -> None:
        """Tell a branch that another connection promised, once that one is
        gone."""
        connection = self._connect(PATIENCE_S)
        until = time.monotonic() + PATIENCE_S
        try:
            with connection.cursor() as cursor:
                while gid in _listed(cursor):
                    try:
                        cursor.execute(f"XA {word} '{safe(gid)}'")
                    except _errors() as error:
                        if _number(error) != UNKNOWN_XID:
                            raise
                        if time.monotonic() > until:
                            raise DatabaseUnavailableError(
                                f"{self._name}: {gid} is held by another connection"
                            ) from error
                        time.sleep(WAIT_S)
        finally:
            connection.close()

    async def promised(self) -> list[str]:
        """Return the branches of ours that wait to be told."""
        return await self._aside(self._promised)

    def _promised(self) -> list[str]:
        connection = self._connect(PATIENCE_S)
        try:
            with connection.cursor() as cursor:
                return sorted(gid for gid in _listed(cursor) if gid.startswith(PREFIX))
        finally:
            connection.close()

    async def close(self) -> None:
        """Let go of connections; what they promised stays promised."""
        while self._held:
            _, connection = self._held.popitem()
            await asyncio.to_thread(connection.close)

    async def _aside(self, do: Callable[[], T]) -> T:
        """Do something in a thread; what goes wrong becomes an error of
        ours."""
        try:
            return await asyncio.to_thread(do)
        except SquadError:
            raise
        except ImportError as error:
            raise UnsupportedError(
                "transactions over MariaDB need pymysql",
                code="extra.missing",
                hint="pip install 'agentsquad[mariadb]'",
            ) from error
        except _errors() as error:
            raise self._ours(error) from error

    def _connect(self, timeout_s: float) -> Any:
        import pymysql
        from pymysql.constants import CLIENT
        from pymysql.cursors import DictCursor

        parts = urlsplit(self._url)
        if not parts.hostname or not parts.path.strip("/"):
            raise DatabaseSettingError(
                f"the address of database {self._name} is not one",
                hint="mysql://user:password@host:3306/database",
            )
        return pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/"),
            connect_timeout=CONNECT_S,
            read_timeout=max(1, int(timeout_s) + 1),
            write_timeout=max(1, int(timeout_s) + 1),
            autocommit=True,
            cursorclass=DictCursor,
            # Rows that matched count, changed or not, as in PostgreSQL.
            client_flag=CLIENT.FOUND_ROWS,
        )

    def _ours(self, error: Exception) -> SquadError:
        number = _number(error)
        text = f"{self._name}: {error.args[-1] if error.args else type(error).__name__}"
        if number in LOST or number == 0:
            return DatabaseUnavailableError(
                f"database {self._name} cannot be reached: {type(error).__name__} {number}",
                private=str(error),
            )
        return RefusedError(text) if number in REFUSED else StatementError(text)


def _listed(cursor: Any) -> set[str]:
    """Return the names of every promised branch of the server."""
    cursor.execute("XA RECOVER")
    return {_text(row["data"])[: row["gtrid_length"]] for row in cursor.fetchall()}


def _text(data: Any) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)


def _errors() -> type[Exception]:
    import pymysql

    return cast(type[Exception], pymysql.MySQLError)


def _number(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0
