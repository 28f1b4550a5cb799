"""The server: what each request is answered with, whichever way it came.

It keeps nothing between two requests. What a session of the revision before
needs (its subscriptions, its log level) is kept by whoever holds the session.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from agentsquad.kernel import jsonrpc
from agentsquad.kernel.errors import MissingError, SquadError, UnauthenticatedError
from agentsquad.kernel.jsonrpc import METHOD, PARAMS, RpcError
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Call, Gateway
from agentsquad.surfaces.mcp import completion, prompts, resources, tools
from agentsquad.surfaces.mcp.asking import confirmed
from agentsquad.surfaces.mcp.contract import (
    BEFORE,
    LEVELS,
    RESOURCE_MISSING_BEFORE,
    SERVER_KEY,
    VERSIONS,
    Asked,
)
from agentsquad.surfaces.mcp.progress import followed

PAGE = 200
FRESH_MS = 60_000
KEY = "agentsquad.dev/key"  # in `_meta`: the Idempotency-Key of a call
INSTRUCTIONS = (
    "Agent Squad runs agents and workflows whose every step is an event in a signed log. Tools "
    "are its actions; those without readOnlyHint change something and are recorded in your name. "
    "runs.list, runs.show and explain.why say what happened; runs.start begins a workflow; "
    "runs.inbox lists what waits for a person, and only a person may answer it."
)
_LISTS = (
    "server/discover", "tools/list", "prompts/list", "resources/list",
    "resources/templates/list", "resources/read",
)  # fmt: skip
Answering = Callable[[Asked], Awaitable[dict[str, Any]]]


class Server:
    """MCP over a gateway."""

    def __init__(
        self, gateway: Gateway, registry: Registry, *, version: str = "0", page: int = PAGE
    ) -> None:
        self.gateway = gateway
        self.info = {"name": "agentsquad", "title": "Agent Squad", "version": version}
        self._page = page
        self._toolbox = tools.Toolbox(registry)
        self._methods: dict[str, Answering] = {
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_resource,
            "prompts/list": self._list_prompts,
            "prompts/get": self._get_prompt,
            "completion/complete": self._complete,
        }

    def knows(self, method: str) -> bool:
        """Whether there is such a method, here or where sessions are held."""
        return method in self._methods or method in (
            "server/discover", "subscriptions/listen", "initialize", "ping", "logging/setLevel",
            "resources/subscribe", "resources/unsubscribe",
        )  # fmt: skip

    async def answer(self, asked: Asked) -> dict[str, Any]:
        """Return the result of a request; raises what its error is."""
        if asked.method == "server/discover" and asked.current:
            body = self.discovered()
        else:
            method = self._methods.get(asked.method)
            if method is None:
                raise RpcError(f"no method {asked.method[:100]!r}", number=METHOD)
            body = await method(asked)
        return self.finished(asked, body)

    def finished(self, asked: Asked, body: dict[str, Any]) -> dict[str, Any]:
        """Return a result with what its revision wants in every one."""
        if not asked.current:
            return body
        meta = {**body.get("_meta", {}), SERVER_KEY: self.info}
        found = {"resultType": "complete", **body, "_meta": meta}
        if asked.method in _LISTS:
            found = {"ttlMs": self._fresh(asked.method), "cacheScope": "private", **found}
        return found

    @staticmethod
    def _fresh(method: str) -> int:
        return 0 if method in ("resources/read", "resources/list") else FRESH_MS

    def discovered(self) -> dict[str, Any]:
        """Return what this server is and can."""
        return {
            "supportedVersions": list(VERSIONS),
            "capabilities": self.capabilities(),
            "instructions": INSTRUCTIONS,
        }

    def initialized(self, wanted: Any) -> dict[str, Any]:
        """Return what a session begins with, in the revision that was asked
        for, or the newest that has sessions."""
        version = wanted if wanted in BEFORE else BEFORE[0]
        return {
            "protocolVersion": version,
            "capabilities": self.capabilities(),
            "serverInfo": self.info,
            "instructions": INSTRUCTIONS,
        }

    @staticmethod
    def capabilities() -> dict[str, Any]:
        """Return what can be asked for."""
        return {
            "tools": {"listChanged": False},
            "resources": {"subscribe": True, "listChanged": True},
            "prompts": {"listChanged": False},
            "completions": {},
            "logging": {},
        }

    # --- tools ---

    async def _list_tools(self, asked: Asked) -> dict[str, Any]:
        found = [
            operation
            for operation in self.gateway.operations()
            if tools.offered(operation, asked.caller)
        ]
        page, following = self._paged(found, asked.params)
        return {"tools": [self._toolbox.tool(one) for one in page], **following}

    async def _call_tool(self, asked: Asked) -> dict[str, Any]:
        name, value = asked.params.get("name"), asked.params.get("arguments")
        if not isinstance(name, str) or not isinstance(value, dict | None):
            raise RpcError("expected name to be a text, arguments an object", number=PARAMS)
        try:
            operation = self.gateway.operation(name)
        except MissingError as error:
            message = f"Unknown tool: {name[:100]}"
            raise RpcError(message, number=PARAMS, data=error.to_dict()) from None
        try:
            if tools.is_answer(operation.action):
                question = await confirmed(asked, operation, value or {})
                if question is not None:
                    return question
            answer = await followed(
                self.gateway,
                asked,
                self.gateway.call(
                    Call(
                        action=operation.action,
                        value=value or {},
                        caller=asked.caller,
                        key=_key(asked.params),
                    )
                ),
            )
            links = [
                tools.link(await self.gateway.keep(asked.caller, file), file.name)
                for file in answer.files
            ]
        except (RpcError, UnauthenticatedError):
            raise
        except SquadError as error:
            await self._log(asked, "error", operation.action, error.to_dict())
            return tools.went_wrong(error)
        await self._log(asked, "info", operation.action, {"replayed": answer.replayed})
        return tools.came(answer, links, structured=self._toolbox.structured(operation))

    async def _log(self, asked: Asked, level: str, action: str, data: Mapping[str, Any]) -> None:
        if asked.level is None or LEVELS.index(level) < LEVELS.index(asked.level):
            return
        await asked.notify(
            "notifications/message",
            {"level": level, "logger": "agentsquad", "data": {"action": action, **data}},
        )

    # --- resources ---

    async def _list_resources(self, asked: Asked) -> dict[str, Any]:
        cursor = _cursor(asked.params)
        first = [] if cursor is not None else resources.fixed(self.gateway.kinds())
        runs, following = await resources.listed_runs(
            self.gateway, asked.caller, cursor, min(self._page, PAGE)
        )
        after = {} if following is None else {"nextCursor": _opaque(following)}
        return {"resources": [*first, *runs], **after}

    async def _list_templates(self, asked: Asked) -> dict[str, Any]:
        page, following = self._paged(resources.templates(), asked.params)
        return {"resourceTemplates": page, **following}

    async def _read_resource(self, asked: Asked) -> dict[str, Any]:
        uri = asked.params.get("uri")
        if not isinstance(uri, str):
            raise RpcError("expected uri to be a text", number=PARAMS)
        try:
            return {"contents": [await resources.read(self.gateway, asked.caller, uri)]}
        except MissingError as error:
            number = PARAMS if asked.current else RESOURCE_MISSING_BEFORE
            data = {"uri": uri, **error.to_dict()}
            raise RpcError(error.message, number=number, data=data) from None

    # --- prompts and completion ---

    async def _list_prompts(self, asked: Asked) -> dict[str, Any]:
        page, following = self._paged(prompts.listed(), asked.params)
        return {"prompts": page, **following}

    async def _get_prompt(self, asked: Asked) -> dict[str, Any]:
        given = asked.params.get("arguments")
        if not isinstance(given, dict | None):
            raise RpcError("expected arguments to be an object", number=PARAMS)
        return await prompts.made(self.gateway, asked.caller, asked.params.get("name"), given or {})

    async def _complete(self, asked: Asked) -> dict[str, Any]:
        return await completion.completed(self.gateway, asked.caller, asked.params)

    def _paged(
        self, found: Sequence[Any], params: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return a page, and where the next one begins."""
        cursor = _cursor(params)
        start = 0
        if cursor is not None:
            if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
                raise _no_cursor()
            start = int(cursor)
            if not 0 < start < len(found):
                raise _no_cursor()
        end = start + self._page
        following = {"nextCursor": _opaque(str(end))} if end < len(found) else {}
        return list(found[start:end]), following


def error_of(asked_id: jsonrpc.Id | None, error: BaseException) -> dict[str, Any]:
    """Return an error as the answer to a request."""
    return jsonrpc.failure(asked_id, error)


def _key(params: Mapping[str, Any]) -> str | None:
    meta = params.get("_meta")
    key = meta.get(KEY) if isinstance(meta, dict) else None
    return key if isinstance(key, str) and key else None


def _opaque(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor(params: Mapping[str, Any]) -> str | None:
    cursor = params.get("cursor")
    if cursor is None:
        return None
    try:
        if not isinstance(cursor, str) or len(cursor) > 1024:
            raise ValueError
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise _no_cursor() from None


def _no_cursor() -> RpcError:
    return RpcError("that is no cursor of this list", number=PARAMS)
