"""The kind ToolServer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from agentsquad.integrations.connectors.tools.contract import KIND
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.kinds import listing, record, text

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAME = "^[A-Za-z0-9_.:/-]{1,128}$"


def _check(spec: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    if ("command" in spec) == ("url" in spec):
        found.append(("", "expected either command or url", "give one of them"))
    if "url" in spec:
        url = urlsplit(str(spec["url"]))
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
            words = "expected an https URL, or http on loopback"
            found.append(("/url", words, "secrets must not cross a network in clear"))
        if url.username or url.password:
            words = "expected a URL without a password"
            found.append(("/url", words, "name a variable in headers instead"))
    elif spec.get("protocol") == "a2a":
        found.append(("/protocol", "expected a url for a2a", "A2A has no standard streams"))
    return found


_SCHEMA = record(
    "Where the server is, which of its tools are used, and what they do to the world.",
    {
        "command": listing(
            "A program that speaks MCP over its standard streams, and its arguments.",
            text("A word.", "npx", minLength=1),
            minItems=1,
        ),
        "url": text("Where it is served.", "https://tools.example/mcp", minLength=1),
        "protocol": {
            "enum": ["mcp", "a2a"],
            "description": "What it speaks; of an A2A agent each skill is a tool. Default mcp.",
        },
        "allow": listing(
            "Tools that may be used; without it all that were pinned.",
            text("A tool's name there.", "create_issue", pattern=_NAME, title="a tool's name"),
            minItems=1,
            uniqueItems=True,
        ),
        "effects": {
            "type": "object",
            "description": "What a tool does to the world; what is not named here changes it.",
            "additionalProperties": {"enum": ["read", "write", "irreversible"]},
            "examples": [{"search": "read"}],
        },
        "headers": {
            "type": "object",
            "description": "Headers sent along; ${NAME} is a variable of the environment.",
            "additionalProperties": {"type": "string"},
            "examples": [{"Authorization": "Bearer ${TRACKER_TOKEN}"}],
        },
        "environment": {
            "type": "object",
            "description": "Variables of the program; ${NAME} is one of ours.",
            "additionalProperties": {"type": "string"},
            "examples": [{"TRACKER_TOKEN": "${TRACKER_TOKEN}"}],
        },
        "timeoutSeconds": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 3600,
            "description": "How long a call may take. Default 60.",
            "examples": [60],
        },
    },
)

TOOL_SERVER = Kind(
    name=KIND,
    schema=_SCHEMA,
    summary="A server whose tools agents may use: MCP, or an agent of another system by A2A",
    plural="toolservers",
    check=_check,
)
