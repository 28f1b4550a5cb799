"""Session: what the revisions before the current one keep between requests.

Which revision was agreed on, what the client can do, which log level and which
resources it wants to hear of. Sessions are of one process and die with it; a
client begins a new one then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agentsquad.kernel import jsonrpc
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.jsonrpc import PARAMS, Id, Request, Response, RpcError
from agentsquad.surfaces.gateway.contract import Caller
from agentsquad.surfaces.mcp import resources
from agentsquad.surfaces.mcp.contract import Asked, Send
from agentsquad.surfaces.mcp.request import level_of
from agentsquad.surfaces.mcp.server import Server
from agentsquad.surfaces.mcp.watching import URIS_MAX, Filter, notifications

ELICIT_S = 300.0  # how long a person may take


class Session:
    """One client's session; `write` sends what belongs to no request."""

    def __init__(self, server: Server, version: str, can: Mapping[str, Any], write: Send) -> None:
        self.version = version
        self._server = server
        self._can = can
        self._write = write
        self._level: str | None = None
        self._uris: frozenset[str] = frozenset()
        self._watcher: asyncio.Task[None] | None = None
        self._questions: dict[Id, asyncio.Future[Mapping[str, Any]]] = {}
        self._asked = 0

    async def close(self) -> None:
        """Stop hearing of anything."""
        for question in self._questions.values():
            question.cancel()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    async def result(self, message: Request, caller: Caller, send: Send) -> dict[str, Any]:
        """Return the answer to a request of this session; `send` takes what is
        said to the client on the way to it."""
        method, params = message.method, message.params
        if method == "ping":
            return {}
        if method == "logging/setLevel":
            level = level_of(params.get("level"))
            if level is None:
                raise RpcError("expected level", number=PARAMS)
            self._level = level
            return {}
        if method in ("resources/subscribe", "resources/unsubscribe"):
            await self._subscribe(caller, params.get("uri"), method == "resources/subscribe")
            return {}

        async def notify(name: str, body: Mapping[str, Any]) -> None:
            await send(jsonrpc.notification(name, body))

        async def elicit(question: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self._elicit(question, send)

        asked = Asked(
            id=message.id,
            method=method,
            params=params,
            caller=caller,
            version=self.version,
            notify=notify,
            can=self._can,
            level=self._level,
            elicit=elicit,
        )
        return await self._server.answer(asked)

    def answered(self, message: Response) -> None:
        """Take the client's answer to a question of ours."""
        question = self._questions.get(message.id) if message.id is not None else None
        if question is not None and not question.done():
            found = message.result if isinstance(message.result, dict) else {}
            question.set_result(found)

    async def _elicit(self, question: Mapping[str, Any], send: Send) -> Mapping[str, Any]:
        self._asked += 1
        id = f"ask-{self._asked}"
        body = dict(question)
        if self.version < "2025-11-25":
            body.pop("mode", None)  # only forms were known then
        waiting: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions[id] = waiting
        try:
            await send(jsonrpc.request(id, "elicitation/create", body))
            async with asyncio.timeout(ELICIT_S):
                return await waiting
        except TimeoutError:
            return {"action": "cancel"}
        finally:
            del self._questions[id]

    async def _subscribe(self, caller: Caller, uri: Any, wanted: bool) -> None:
        if not isinstance(uri, str):
            raise RpcError("expected uri to be a text", number=PARAMS)
        if wanted:
            resources.place(uri)
            if len(self._uris) >= URIS_MAX:
                raise RpcError(f"at most {URIS_MAX} resources in one session", number=PARAMS)
        self._uris = self._uris | {uri} if wanted else self._uris - {uri}
        if self._uris and (self._watcher is None or self._watcher.done()):
            after = await self._server.gateway.place(caller)
            self._watcher = asyncio.create_task(self._watch(caller, after))

    async def _watch(self, caller: Caller, after: int) -> None:
        """Tell what was subscribed to, as it is at that moment."""

        def which() -> Filter:
            return Filter(uris=self._uris, lists=True)

        with suppress(SquadError):
            found = notifications(self._server.gateway, caller, which, after)
            async for method, params in found:
                await self._write(jsonrpc.notification(method, params))
