"""AsyncAPI: the description of the WebSocket for people and generators, made of
the messages themselves (AsyncAPI 3.0)."""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from agentsquad.surfaces.websocket.contract import (
    BEARER,
    PROTOCOL,
    SLOW,
    FromClient,
    FromServer,
)
from agentsquad.surfaces.websocket.handshake import ROUTE

COMPONENTS = "#/components/schemas/{name}"
DESCRIPTION = f"""Follow the events of a namespace and call actions over one connection.

Who connects says so in the header `Authorization: Bearer …`, as a subprotocol
`{BEARER}TOKEN` beside `{PROTOCOL}`, by the session's cookie on our own pages, or in a
first message of type `hello`. The namespace is in the header `Squad-Namespace`, in
`?namespace=` or in the hello.

A subscription begins after an event number; the `seq` of the last event that was seen is
where to go on after a reconnect, and nothing is lost or comes twice.

Codes of closing: 4000 and the HTTP status of an error (4401 not signed in or no longer,
4403 not allowed, 4429 too many), {SLOW} too slow, 1003 not text, 1009 too large, 1012 the
server ends and comes back."""


def document(scheme: str, host: str) -> dict[str, Any]:
    """Return the description of the WebSocket of a server."""
    said, heard = typing.get_args(FromServer), typing.get_args(FromClient)
    references, schemas = msgspec.json.schema_components([*heard, *said], ref_template=COMPONENTS)
    messages = {
        _name(one): {
            "name": _name(one),
            "title": _name(one),
            "summary": " ".join((one.__doc__ or "").split("\n\n")[0].split()),
            "contentType": "application/json",
            "payload": reference,
        }
        for one, reference in zip([*heard, *said], references, strict=True)
    }
    channel = {"$ref": "#/channels/ws"}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Agent Squad", "version": "v1", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "this": {
                "host": host,
                "protocol": scheme,
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            }
        },
        "channels": {
            "ws": {
                "address": ROUTE,
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "hear": {
                "action": "receive",
                "summary": "What a client may say.",
                "channel": channel,
                "messages": [{"$ref": f"#/channels/ws/messages/{_name(one)}"} for one in heard],
            },
            "say": {
                "action": "send",
                "summary": "What the server says.",
                "channel": channel,
                "messages": [{"$ref": f"#/channels/ws/messages/{_name(one)}"} for one in said],
            },
        },
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _name(shape: Any) -> str:
    return str(shape.__struct_config__.tag)
