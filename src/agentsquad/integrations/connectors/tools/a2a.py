"""The A2A client: an agent of another system, each of its skills a tool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from agentsquad.integrations.connectors.tools.contract import (
    Definition,
    Result,
    ToolFailedError,
    ToolUnreachableError,
)
from agentsquad.kernel.jsonrpc import Response

CURRENT, BEFORE = "1.0", "0.3"
ENDED = ("COMPLETED", "FAILED", "CANCELED", "REJECTED")
STILL = (*ENDED, "INPUT_REQUIRED", "AUTH_REQUIRED")
POLL_MS = (200, 500, 1000, 2000, 5000)
ASKING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "what is asked for, in words"},
        "data": {"description": "what is asked for, as data"},
    },
    "additionalProperties": False,
}


class Face(Protocol):
    """Where an agent is served: its card, and its JSON-RPC."""

    async def card(self) -> Mapping[str, Any]:
        """Return its card."""
        ...

    async def ask(self, url: str, method: str, params: Mapping[str, Any], version: str) -> Response:
        """Return the answer to a request."""
        ...

    async def close(self) -> None:
        """End."""
        ...


class A2aPeer:
    """An agent that is reached by A2A (`Peer`)."""

    def __init__(self, face: Face, pause: Callable[[float], Awaitable[None]]) -> None:
        self._face = face
        self._pause = pause
        self._url = ""
        self._version = CURRENT

    async def definitions(self, *, fresh: bool = False) -> list[Definition]:
        """Return its skills as its card tells them now; nobody tells of changes
        of a card, so it is always read."""
        card = await self._face.card()
        self._choose(card)
        skills = card.get("skills")
        found = [
            Definition(
                name=str(one.get("id")),
                description=f"{one.get('name')}: {one.get('description')}",
                schema=ASKING,
            )
            for one in (skills if isinstance(skills, list) else [])
            if isinstance(one, Mapping) and one.get("id")
        ]
        return sorted(found, key=lambda one: one.name)

    def _choose(self, card: Mapping[str, Any]) -> None:
        faces = card.get("supportedInterfaces")
        for version in (CURRENT, BEFORE):
            for one in faces if isinstance(faces, list) else []:
                if not isinstance(one, Mapping) or one.get("protocolBinding") != "JSONRPC":
                    continue
                if str(one.get("protocolVersion", "")).startswith(version):
                    self._url, self._version = str(one.get("url")), version
                    return
        if card.get("preferredTransport", "JSONRPC") == "JSONRPC" and card.get("url"):
            self._url, self._version = str(card["url"]), BEFORE
            return
        raise ToolUnreachableError("the agent has no JSON-RPC face of a generation spoken here")

    async def call(self, tool: Definition, arguments: Mapping[str, Any], key: str) -> Result:
        """Send a message and return what came of its task."""
        parts = []
        now = self._version == CURRENT
        if isinstance(arguments.get("text"), str):
            body = {"text": arguments["text"]}
            parts.append(body if now else {"kind": "text", **body})
        if arguments.get("data") is not None:
            body = {"data": arguments["data"]}
            parts.append(body if now else {"kind": "data", **body})
        message = {
            "messageId": key,
            "role": "ROLE_USER" if now else "user",
            "parts": parts or [{"text": ""} if now else {"kind": "text", "text": ""}],
            "metadata": {"skill": tool.name},
        }
        if not now:
            message["kind"] = "message"
        found = await self._ask("SendMessage" if now else "message/send", {"message": message})
        found = found.get("task") or found.get("message") or found
        turn = 0
        while "status" in found and _state(found) not in STILL:
            await self._pause(POLL_MS[min(turn, len(POLL_MS) - 1)])
            turn += 1
            found = await self._ask("GetTask" if now else "tasks/get", {"id": found["id"]})
        return _result(found, tool.name)

    async def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        reply = await self._face.ask(self._url, method, params, self._version)
        if reply.error is not None:
            raise ToolFailedError(str(reply.error.get("message"))[:2000])
        if not isinstance(reply.result, dict):
            raise ToolFailedError("the agent answered no object")
        return reply.result

    async def close(self) -> None:
        """End the connection."""
        await self._face.close()


def _state(task: Mapping[str, Any]) -> str:
    status = task.get("status")
    state = status.get("state") if isinstance(status, Mapping) else ""
    return str(state).removeprefix("TASK_STATE_").upper().replace("-", "_")


def _result(found: Mapping[str, Any], name: str) -> Result:
    state = _state(found) if "status" in found else "COMPLETED"
    if state != "COMPLETED":
        status = found.get("status")
        message = status.get("message") if isinstance(status, Mapping) else None
        words, _ = _said(message.get("parts")) if isinstance(message, Mapping) else ("", [])
        raise ToolFailedError(f"{name}: the task is {state.lower()}; {words}".rstrip("; "))
    artifacts = found.get("artifacts")
    parts: list[Any] = list(found.get("parts") or [])
    for artifact in artifacts if isinstance(artifacts, list) else []:
        if isinstance(artifact, Mapping):
            parts += artifact.get("parts") or []
    text, data = _said(parts)
    return Result(text=text, data=data[0] if len(data) == 1 else data or None)


def _said(parts: Any) -> tuple[str, list[Any]]:
    found = [part for part in (parts or []) if isinstance(part, Mapping)]
    texts = [str(part["text"]) for part in found if isinstance(part.get("text"), str)]
    return "\n".join(texts), [part["data"] for part in found if "data" in part]


def pausing() -> Callable[[float], Awaitable[None]]:
    """Return how to wait between two looks at a task."""

    async def pause(milliseconds: float) -> None:
        await asyncio.sleep(milliseconds / 1000)

    return pause
