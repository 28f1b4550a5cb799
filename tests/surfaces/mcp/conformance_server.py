"""The server under the scenarios of `@modelcontextprotocol/conformance`, which
want tools, resources and prompts of certain names.

Those are added here; everything else (transports, sessions, streams, questions
to people, errors) is the server that ships. Not a test: `python -m
tests.surfaces.mcp.conformance_server` prints the address and stays.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.surfaces.mcp.conftest import House, _served

from agentsquad.kernel.actor import Actor
from agentsquad.surfaces.mcp import resources
from agentsquad.surfaces.mcp.contract import Asked
from agentsquad.surfaces.mcp.routes import Endpoint
from agentsquad.surfaces.mcp.server import Server
from agentsquad.trust.identity.contract import Principal, Shown

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
TEXT = {"type": "text", "text": "This is a simple text response for testing."}
IMAGE = {"type": "image", "data": PIXEL, "mimeType": "image/png"}
EMBEDDED = {
    "type": "resource",
    "resource": {
        "uri": "test://embedded-resource",
        "mimeType": "text/plain",
        "text": "This is an embedded resource content.",
    },
}
CONTENT: dict[str, list[dict[str, Any]]] = {
    "test_simple_text": [TEXT],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": SOUND, "mimeType": "audio/wav"}],
    "test_embedded_resource": [EMBEDDED],
    "test_multiple_content_types": [TEXT, IMAGE, {**EMBEDDED, "resource": {
        "uri": "test://mixed-content-resource", "mimeType": "application/json",
        "text": '{"test":"data","value":123}',
    }}],
    "test_tool_with_logging": [TEXT],
    "test_tool_with_progress": [TEXT],
}  # fmt: skip
TWENTY = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"type": "object", "properties": {
        "street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}  # fmt: skip
_OPTIONS = {"type": "string", "enum": ["option1", "option2", "option3"]}
_TITLED = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
ASKED: dict[str, dict[str, Any]] = {
    "test_elicitation": {"username": {"type": "string"}},
    "test_elicitation_sep1034_defaults": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {
            "type": "string", "enum": ["active", "inactive", "pending"], "default": "active",
        },
        "verified": {"type": "boolean", "default": True},
    },
    "test_elicitation_sep1330_enums": {
        "untitledSingle": _OPTIONS,
        "titledSingle": {"type": "string", "oneOf": _TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": _OPTIONS},
        "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
    },
}  # fmt: skip
NAMES = (*CONTENT, *ASKED, "test_error_handling")
PROMPTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
}


class Everything(Server):
    """The server, with what the scenarios ask for."""

    async def answer(self, asked: Asked) -> dict[str, Any]:
        name, params = asked.params.get("name"), asked.params
        if asked.method == "tools/list":
            found = await super().answer(asked)
            empty = {"type": "object"}
            more = [{"name": n, "description": n, "inputSchema": empty} for n in NAMES]
            odd = {"name": "json_schema_2020_12_tool", "description": "x", "inputSchema": TWENTY}
            return {**found, "tools": [*found["tools"], *more, odd]}
        if asked.method == "tools/call" and name in NAMES:
            return await self._called(asked, str(name))
        if asked.method == "resources/read" and str(params.get("uri")).startswith("test://"):
            return {"contents": [_read(str(params["uri"]))]}
        if asked.method == "prompts/list":
            found = await super().answer(asked)
            more = [
                {
                    "name": n,
                    "description": n,
                    "arguments": [
                        {"name": a, "description": a, "required": True} for a in arguments
                    ],
                }
                for n, arguments in PROMPTS.items()
            ]
            return {**found, "prompts": [*found["prompts"], *more]}
        if asked.method == "prompts/get" and name in PROMPTS:
            return _prompt(str(name), params.get("arguments") or {})
        if asked.method == "completion/complete":
            return {"completion": {"values": [], "total": 0, "hasMore": False}}
        return await super().answer(asked)

    async def _called(self, asked: Asked, name: str) -> dict[str, Any]:
        if name == "test_error_handling":
            text = "This tool intentionally returns an error for testing"
            return {"content": [{"type": "text", "text": text}], "isError": True}
        if name in ASKED:
            assert asked.elicit is not None
            schema = {"type": "object", "properties": ASKED[name], "required": []}
            message = str(asked.params["arguments"].get("message", "Please say"))
            said = await asked.elicit({"message": message, "requestedSchema": schema})
            return {"content": [{"type": "text", "text": f"User response: {said}"}]}
        for number in range(3):
            if name == "test_tool_with_logging":
                body = {"level": "info", "logger": "t", "data": f"step {number}"}
                await asked.notify("notifications/message", body)
            token = (asked.params.get("_meta") or {}).get("progressToken")
            if name == "test_tool_with_progress" and token is not None:
                told = {"progressToken": token, "progress": number * 50, "total": 100}
                await asked.notify("notifications/progress", told)
                await asyncio.sleep(0.05)
        return {"content": CONTENT[name]}


def _read(uri: str) -> dict[str, Any]:
    if uri == "test://static-binary":
        return {"uri": uri, "mimeType": "image/png", "blob": PIXEL}
    text = '{"id":"123","templateTest":true,"data":"Data for ID: 123"}'
    return {"uri": uri, "mimeType": "application/json", "text": text}


def _prompt(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": f"{name} {dict(arguments)}"}]
    if name == "test_prompt_with_image":
        content.insert(0, IMAGE)
    if name == "test_prompt_with_embedded_resource":
        inner = {**EMBEDDED["resource"], "uri": arguments.get("resourceUri")}  # type: ignore[dict-item]
        content.insert(0, {**EMBEDDED, "resource": inner})
    return {"messages": [{"role": "user", "content": one} for one in content]}


async def main(seconds: float) -> None:
    """Serve for a while."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    house = House(Path(tempfile.mkdtemp()))

    async def anybody(shown: Shown) -> Principal:
        return Principal(
            actor=Actor("person", "ada"), grants={"*": ("admin",)}, credential="key:ada"
        )

    house.identity.recognise = anybody  # type: ignore[method-assign]
    known = resources.place
    resources.place = lambda uri: (  # type: ignore[assignment]
        ("runs", (), {}) if uri.startswith("test://") else known(uri)
    )
    server = Everything(house.gateway, house.squad.world.registry)
    endpoint = Endpoint(server, lambda: house.squad.world.entropy.token(16).hex(), "", ())
    app = Starlette(routes=[Route("/mcp", endpoint.serve, methods=["POST", "GET", "DELETE"])])
    async with _served(app) as url:
        print(url + "/mcp", flush=True)
        await asyncio.sleep(seconds)
    await house.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
