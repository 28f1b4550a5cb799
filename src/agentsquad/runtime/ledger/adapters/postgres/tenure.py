"""Tenure: who drives the runs of a store, and how processes hear of one
another, by a row, a token and notifications (`ledger.tenure.Tenure`).

Times are the server's: a machine whose clock jumps takes nothing over. The
token stands in the row that every commit locks, so that taking over waits for
the commit under way, and every later one sees it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from psycopg import Error, pq

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger.adapters.postgres.codec import INT8, TEXT, columns, int8, number
from agentsquad.runtime.ledger.adapters.postgres.target import Target
from agentsquad.runtime.ledger.adapters.postgres.wire import Command, Statement, Wire
from agentsquad.runtime.ledger.contract import FencedError
from agentsquad.runtime.ledger.tenure import Member, Standing

AGAIN_S = 1.0  # after which a listening connection that was lost is made again
LOG, TOLD, LEASE = "log", "told", "lease"

_IN = "clock_timestamp() + {} * interval '1 millisecond'"
_LOCAL = Statement("SELECT set_config('synchronous_commit', 'off', true)")
_TAKE = Statement(
    f"WITH taken AS (UPDATE lease SET token = token + 1, holder = $1, until = {_IN.format('$2')}"
    " WHERE until < clock_timestamp() RETURNING token), fenced AS (UPDATE head SET token ="
    " taken.token FROM taken RETURNING head.token) SELECT token FROM fenced",
    *(TEXT, INT8),
)
_STANDING = Statement(
    "SELECT token, holder, greatest(0, extract(epoch FROM until - clock_timestamp()) * 1000)::int8"
    " FROM lease"
)
_RENEW = Statement(
    f"UPDATE lease SET until = {_IN.format('$2')} WHERE token = $1 AND holder = $3 RETURNING token",
    *(INT8, INT8, TEXT),
)
_RELEASE = Statement(
    "UPDATE lease SET until = 'epoch', holder = '' WHERE token = $1 AND holder = $2", INT8, TEXT
)
_HERE = Statement(
    "INSERT INTO member VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp(),"
    f" {_IN.format('$4')}) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen,"
    " until = excluded.until",
    *(TEXT, TEXT, INT8, INT8),
)
_GONE = Statement(
    "DELETE FROM member WHERE id = $1 OR until < clock_timestamp() - interval '1 hour'", TEXT
)
_MEMBERS = Statement(
    "SELECT m.id, m.host, m.pid, to_char(m.since AT TIME ZONE 'UTC',"
    ' \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'),'
    " (extract(epoch FROM clock_timestamp() - m.seen) * 1000)::int8,"
    " m.id = l.holder AND l.until > clock_timestamp() FROM member m, lease l"
    " WHERE m.until > clock_timestamp() ORDER BY 6 DESC, m.since"
)
_NOTIFY = Statement("SELECT pg_notify($1, '')", TEXT)


def channel(target: Target, kind: str) -> bytes:
    """Return the channel on which processes of one ledger hear of this."""
    return f"{target.schema}.{kind}".encode()


class Fence:
    """The token of one process, on the connection its commits use."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._host = socket.gethostname()
        self._id = f"{self._host}/{os.getpid()}/{uuid.uuid4().hex[:6]}"
        self._held: int | None = None
        self._until = 0.0  # by this machine's clock, and never later than by the store's
        self._alarm: Callable[[], None] = lambda: None
        self._ear = Ear(wire)

    @property
    def held(self) -> int | None:
        """The token under which this process writes."""
        return self._held

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken over yet."""
        return time.monotonic() < self._until

    @property
    def id(self) -> str:
        """How this process is named."""
        return self._id

    def lost(self, token: int) -> FencedError:
        """Return the error for a write that came too late, and raise the
        alarm.
        """
        self._alarm()
        return FencedError(
            f"another process drives the runs now (token {token}, this one had {self._held})",
            hint="nothing was written; this process stops driving and stands by",
            details={"token": token, "held": self._held},
        )

    def take(self, ttl_ms: int) -> Standing:
        """Take over if nobody holds it any more; say who holds it then."""
        name, asked = self._id.encode(), time.monotonic()
        [taken, found, *_] = self._wire.ask(
            (_TAKE, [name, int8(ttl_ms)]), (_STANDING, ()), *self._here(ttl_ms)
        )
        standing = self._read(found)
        # Its own already: taken by a question whose answer was lost.
        if taken.ntuples or (standing.holder == self._id and standing.left_ms):
            self._held = standing.token
            self._until = asked + (ttl_ms if taken.ntuples else standing.left_ms) / 1000
        return standing

    def renew(self, ttl_ms: int) -> bool:
        """Go on holding it; False when another has taken over."""
        held, asked = int8(self._held or 0), time.monotonic()
        [_, found, *_] = self._wire.ask(
            (_LOCAL, ()), (_RENEW, [held, int8(ttl_ms), self._id.encode()]), *self._here(ttl_ms)
        )
        if found.ntuples:
            self._until = asked + ttl_ms / 1000
        return bool(found.ntuples)

    def release(self) -> None:
        """Give it back, and say so."""
        held, self._held = self._held, None
        name = self._id.encode()
        commands: list[Command] = [(_GONE, [name])]
        if held is not None:
            commands += [
                (_RELEASE, [int8(held), name]),
                (_NOTIFY, [channel(self._wire.target, LEASE)]),
            ]
        with suppress(SquadError):  # it ends by itself in time
            self._wire.ask(*commands)

    def warn(self, alarm: Callable[[], None]) -> None:
        """Call `alarm` when a write was refused."""
        self._alarm = alarm

    def forget(self) -> None:
        """Write without the token again."""
        self._held = None

    def standing(self, ttl_ms: int | None = None) -> Standing:
        """Return who holds it; with `ttl_ms` also say that this process stands
        by for so long.
        """
        here = [] if ttl_ms is None else [(_LOCAL, ()), *self._here(ttl_ms)]
        *_, found = self._wire.ask(*here, (_STANDING, ()))
        return self._read(found)

    def members(self) -> list[Member]:
        """Return the processes that hold it or stand by."""
        [found] = self._wire.ask((_MEMBERS, ()))
        return [
            Member(
                id=id_.decode(),
                host=host.decode(),
                pid=number(pid),
                since=since.decode(),
                seen_ms=max(0, number(seen)),
                leads=leads == b"\x01",
            )
            for id_, host, pid, since, seen, leads in columns(found)
        ]

    def listen(self, heard: Callable[[str], None], *kinds: str) -> Callable[[], None]:
        """Call `heard` with the kind of what other processes did."""
        return self._ear.add(heard, kinds or (TOLD, LEASE))

    def close(self) -> None:
        """Hear nothing any more; a token still held ends by itself."""
        self._ear.close()

    def _here(self, ttl_ms: int) -> list[Command]:
        values = [self._id.encode(), self._host.encode(), int8(os.getpid()), int8(ttl_ms)]
        return [(_HERE, values)]

    @staticmethod
    def _read(found: Any) -> Standing:
        [(token, holder, left)] = columns(found)
        return Standing(token=number(token), holder=holder.decode(), left_ms=number(left))


class Ear:
    """A connection that hears notifications in the event loop, made when
    somebody first listens.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._listeners: dict[object, tuple[Callable[[str], None], frozenset[str]]] = {}
        self._link: Any = None
        self._socket = -1  # a connection that is lost no longer knows
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known: frozenset[str] = frozenset()
        self._again: asyncio.Task[None] | None = None

    def add(self, heard: Callable[[str], None], kinds: tuple[str, ...]) -> Callable[[], None]:
        """Listen; what is returned stops it."""
        key = object()
        self._listeners[key] = (heard, frozenset(kinds))
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._let_go()
            self._loop = loop
        if self._again is None:
            if self._link is None:
                self._open(self._connect())
            else:
                self._tune()

        def stop() -> None:
            self._listeners.pop(key, None)

        return stop

    def close(self) -> None:
        """Let go of the connection."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._let_go()

    def _connect(self) -> Any:
        link = pq.PGconn.connect(self._wire.target.conninfo)
        if link.status != pq.ConnStatus.OK:
            link.finish()
            return None
        return link

    def _open(self, link: Any) -> None:
        if link is None:
            self._retry()
            return
        self._link, self._known = link, frozenset()
        assert self._loop is not None
        self._socket = link.socket
        self._loop.add_reader(self._socket, self._hear)
        self._tune()

    def _tune(self) -> None:
        """Listen on the channels somebody asked for."""
        wanted = frozenset[str]().union(*(kinds for _, kinds in self._listeners.values()))
        target = self._wire.target
        for kind in sorted(wanted - self._known):
            result = self._link.exec_(b'LISTEN "%s"' % channel(target, kind))
            if result.status != pq.ExecStatus.COMMAND_OK:
                self._lost()
                return
        self._known |= wanted

    def _hear(self) -> None:
        try:
            self._link.consume_input()
            told: set[str] = set()
            while (notice := self._link.notifies()) is not None:
                if notice.be_pid != self._wire.backend:
                    told.add(notice.relname.decode().rpartition(".")[2])
        except Error:
            self._lost()
            return
        if self._link.status != pq.ConnStatus.OK:
            self._lost()
            return
        self._tell(told)

    def _tell(self, told: set[str]) -> None:
        for kind in told & self._known:
            if not any(kind in kinds for _, kinds in self._listeners.values()):
                self._link.exec_(b'UNLISTEN "%s"' % channel(self._wire.target, kind))
                self._known -= {kind}
        for heard, kinds in list(self._listeners.values()):
            for kind in sorted(told & kinds):
                heard(kind)

    def _lost(self) -> None:
        """Listen again soon; something may be missed until then."""
        self._let_go()
        self._retry()

    def _retry(self) -> None:
        if self._again is None and self._loop is not None and self._listeners:
            self._again = self._loop.create_task(self._reopen())

    async def _reopen(self) -> None:
        link: Any = None
        while link is None:
            await asyncio.sleep(AGAIN_S)
            link = await asyncio.to_thread(self._connect)
        self._again = None
        self._open(link)
        self._tell({LOG, TOLD, LEASE})  # it may have missed some

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
        with suppress(Error):
            link.finish()
