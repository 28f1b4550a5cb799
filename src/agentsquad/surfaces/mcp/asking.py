"""Asking: a person's answer is theirs, so they are asked before it is given.

A tool call is a model's. What only a person may do is shown to the person at
the client and done when they say so; a client that cannot ask is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.surfaces.gateway.operation import Operation
from agentsquad.surfaces.mcp.contract import Asked, CapabilityError, PeopleOnlyError

CONFIRM = "confirm"
_NEEDED: dict[str, Any] = {"elicitation": {"form": {}}}


async def confirmed(
    asked: Asked, operation: Operation, value: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return None when the person said yes, else what the client is answered
    with to ask them; raises PeopleOnlyError when they said no."""
    if asked.caller.principal.actor.kind != "person":
        raise PeopleOnlyError(
            f"{operation.action} is a person's answer; {asked.caller.principal.actor} is none"
        )
    if not _can(asked.can):
        if asked.current:
            raise CapabilityError("a client that can ask its person is needed", _NEEDED)
        raise PeopleOnlyError(
            "this client cannot ask its person",
            hint="answer with `squad approve` or `squad reject`, or on another surface",
        )
    if asked.elicit is not None:
        answer = await asked.elicit(question(operation, value))
    else:
        given = asked.params.get("inputResponses")
        found = given.get(CONFIRM) if isinstance(given, dict) else None
        if not isinstance(found, dict):
            return {
                "resultType": "input_required",
                "inputRequests": {
                    CONFIRM: {"method": "elicitation/create", "params": question(operation, value)}
                },
            }
        answer = found
    if not _yes(answer):
        raise PeopleOnlyError("the person did not confirm it")
    return None


def question(operation: Operation, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the person is asked."""
    told = msgspec.json.encode(value).decode()
    return {
        "mode": "form",
        "message": f"{operation.summary}\n\n{operation.action} {told}",
        "requestedSchema": {
            "type": "object",
            "properties": {
                CONFIRM: {
                    "type": "boolean",
                    "title": "Yes, I want exactly that",
                    "default": False,
                }
            },
            "required": [CONFIRM],
        },
    }


def _can(capabilities: Mapping[str, Any]) -> bool:
    """Whether a client can show its person a form; an empty object says so
    too."""
    found = capabilities.get("elicitation")
    return isinstance(found, dict) and (not found or "form" in found)


def _yes(answer: Mapping[str, Any]) -> bool:
    content = answer.get("content")
    return (
        answer.get("action") == "accept"
        and isinstance(content, dict)
        and content.get(CONFIRM) is True
    )
