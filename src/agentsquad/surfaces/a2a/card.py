"""Cards: what this installation says of itself, for both generations at once.

The public card names no agent: which there are is told to those who may ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.a2a.contract import BEFORE, CURRENT

MODES = ["text/plain", "application/json", "application/octet-stream"]
_ANY = {
    "id": "any",
    "name": "Agents and workflows",
    "description": "Sign in and read the extended card: each agent and workflow is a skill",
    "tags": ["agents", "workflows"],
}


def card_of(
    url: str,
    version: str,
    skills: Sequence[Mapping[str, Any]] | None = None,
    agent: str = "",
    *,
    push: bool = False,
) -> dict[str, Any]:
    """Return a card in which a client of either generation finds its fields;
    `skills` makes it the extended one, `agent` that of one agent alone, `push`
    says that notifications are delivered."""
    faces = [
        {"url": url, "protocolBinding": binding, "protocolVersion": spoken}
        for spoken in (CURRENT, BEFORE)
        for binding in ("JSONRPC", "HTTP+JSON")
    ]
    if agent:
        faces = [{**face, "tenant": agent} for face in faces]
    named = f"Agent {agent} of " if agent else ""
    return {
        "name": agent or "Agent Squad",
        "description": f"{named}Agent Squad: work on one verifiable log",
        "version": version,
        "supportedInterfaces": faces,
        "capabilities": {
            "streaming": True,
            "pushNotifications": push,
            "extendedAgentCard": True,
            "stateTransitionHistory": False,
        },
        "defaultInputModes": MODES,
        "defaultOutputModes": MODES,
        "skills": [dict(one) for one in skills] if skills is not None else [_ANY],
        "securitySchemes": {
            "bearer": {
                "httpAuthSecurityScheme": {"scheme": "Bearer"},
                "type": "http",
                "scheme": "bearer",
            }
        },
        "securityRequirements": [{"schemes": {"bearer": {"list": []}}}],
        # what the generation before reads
        "protocolVersion": "0.3.0",
        "url": url,
        "preferredTransport": "JSONRPC",
        "additionalInterfaces": [
            {"url": url, "transport": "JSONRPC"},
            {"url": url, "transport": "HTTP+JSON"},
        ],
        "security": [{"bearer": []}],
        "supportsAuthenticatedExtendedCard": True,
    }


def for_generation(card: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a card with the fields of one generation only."""
    then = (
        "protocolVersion", "url", "preferredTransport", "additionalInterfaces", "security",
        "supportsAuthenticatedExtendedCard",
    )  # fmt: skip
    now = ("supportedInterfaces", "securityRequirements")
    found = {
        key: value
        for key, value in card.items()
        if key not in (then if version == CURRENT else now)
    }
    scheme: dict[str, Any] = {"httpAuthSecurityScheme": {"scheme": "Bearer"}}
    dropped = "stateTransitionHistory"
    if version == BEFORE:
        scheme, dropped = {"type": "http", "scheme": "bearer"}, "extendedAgentCard"
    found["securitySchemes"] = {"bearer": scheme}
    capabilities = card["capabilities"]
    found["capabilities"] = {k: v for k, v in capabilities.items() if k != dropped}
    return found
