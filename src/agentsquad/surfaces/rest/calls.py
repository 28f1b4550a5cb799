"""Calls: an operation carried out for a request, and its answer as a reply.

What an action wrote to a file comes back beside its output, so that its answer
is complete: `output` and `files`, each with `name`, `media_type`, `size` and
its content in `base64`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from agentsquad.surfaces.gateway.contract import Answer, Call
from agentsquad.surfaces.gateway.operation import Operation
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.cache import Cache, Kept, key_of
from agentsquad.surfaces.rest.reply import Reply, state_of

NO_EFFECT = ("pure", "read")
WAIT, ASYNC = "wait", "respond-async"


def writes_files(operation: Operation) -> bool:
    """Whether what an operation makes is files."""
    return any(field.file == "out" for field in operation.fields)


async def carried(
    asked: Asked, operation: Operation, value: Mapping[str, Any], *, key: str | None = None
) -> Answer:
    """Carry an operation out."""
    call = Call(
        action=operation.action,
        value=_as_preferred(asked, operation, value),
        caller=await asked.caller(),
        key=key,
        timeout_ms=asked.timeout_ms,
    )
    return await asked.gateway.call(call)


def _as_preferred(
    asked: Asked, operation: Operation, value: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return an input that does not wait for runs, where that is preferred."""
    if ASYNC not in asked.preferences or WAIT in value:
        return value
    waits = any(field.name == WAIT and field.kind == "flag" for field in operation.fields)
    return {**value, WAIT: False} if waits else value


async def called(asked: Asked, operation: Operation, value: Mapping[str, Any]) -> Reply:
    """Call an action as itself."""
    key = None if operation.effect in NO_EFFECT else asked.key
    return replied(asked, operation, await carried(asked, operation, value, key=key))


def replied(asked: Asked, operation: Operation, answer: Answer) -> Reply:
    """Return an answer as a reply."""
    headers = {}
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    if writes_files(operation):
        headers["Squad-Files"] = "1"
    if asked.timeout_ms is not None:
        headers["Preference-Applied"] = f"wait={asked.timeout_ms // 1000}"
    secret = operation.realm == "system"
    return Reply(value=shown(operation, answer), headers=headers, secret=secret)


def shown(operation: Operation, answer: Answer) -> Any:
    """Return what an answer is shown as: its output, or output and files."""
    if not writes_files(operation):
        return answer.value
    files = [
        {
            "name": one.name,
            "media_type": one.media_type,
            "size": len(one.data),
            "base64": base64.b64encode(one.data).decode(),
        }
        for one in answer.files
    ]
    return {"output": answer.value, "files": files}


async def looked_up(
    asked: Asked,
    operation: Operation,
    value: Mapping[str, Any],
    cache: Cache,
    revision_of: Callable[[Any], str] = state_of,
) -> Reply:
    """Answer a reading, from memory where nothing has happened since."""
    caller = await asked.caller()
    if operation.effect not in NO_EFFECT or operation.realm == "system" or not cache.on:
        reply = replied(asked, operation, await carried(asked, operation, value))
        reply.revision = revision_of(reply.value)
        return reply
    key = key_of(caller, operation.action, value)
    kept = cache.find(caller.namespace, key)
    if kept is None:
        mark = await cache.mark(caller)
        answer = await carried(asked, operation, value)
        kept = Kept(shown(operation, answer))
        kept.revision = revision_of(kept.value)
        cache.keep(caller.namespace, key, kept, mark)
    return Reply(value=kept.value, ready=kept.forms, revision=kept.revision)
