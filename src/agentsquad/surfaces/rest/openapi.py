"""OpenAPI: the description of REST, generated from the registry.

OpenAPI 3.1, whose schemas are JSON Schema 2020-12, the same that inputs are
checked by. Every action has an address of its own here, so that a generated
client has a function for each; the addresses that several share
(`/v1/actions/{action}`) are described in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agentsquad import __version__
from agentsquad.kernel.errors import TABLE
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import KEY_LENGTH_MAX, Gateway
from agentsquad.surfaces.gateway.http import PROBLEM
from agentsquad.surfaces.gateway.operation import Field, Operation
from agentsquad.surfaces.gateway.shapes import COMPONENTS, Shape, shapes_of
from agentsquad.surfaces.rest.calls import NO_EFFECT, writes_files
from agentsquad.surfaces.rest.contract import Options
from agentsquad.surfaces.rest.example import example_of
from agentsquad.surfaces.rest.formats import FORMATS
from agentsquad.surfaces.rest.paths import blob_paths, proof_paths, resource_paths
from agentsquad.surfaces.rest.readings import Reading, readings
from agentsquad.surfaces.rest.words import ABOUT, COMMON, SECURITY, TAGS

NO_PATH = r"^[^/\\\u0000-\u001f]{1,255}$"
TITLES = {
    400: "The request or its input is not valid.",
    401: "Nobody is signed in.",
    403: "Roles, scopes or policy do not allow it.",
    404: "There is no such thing.",
    406: "None of the formats asked for can be given.",
    409: "Somebody else changed it first, or a call with this key is under way.",
    412: "It has changed since it was read.",
    413: "The body is too large.",
    415: "The body is in a format that is not read here.",
    422: "This Idempotency-Key came before with another call.",
    429: "A limit was reached: wait.",
    500: "One of our own invariants broke, or stored data does not match its proof.",
    501: "Not available in this installation.",
    503: "The other side is not available.",
    504: "Time ran out; whether it happened is unknown.",
}
ALWAYS = sorted({row.http for row in TABLE.values()} | {406})
SENDING = (413, 415)


def document(gateway: Gateway, registry: Registry, options: Options) -> dict[str, Any]:
    """Return the description of everything that is offered."""
    operations = list(gateway.operations())
    shapes, schemas = shapes_of(registry.actions[one.action] for one in operations)
    _mark_files(operations, shapes, schemas)
    writer = _Writer(shapes, schemas)
    paths: dict[str, Any] = {"/v1/actions": writer.action_list()}
    for operation in operations:
        paths[f"/v1/actions/{operation.action}"] = {
            "get": writer.described(operation),
            "post": writer.called(operation),
        }
    for reading in readings(operations):
        found = paths.setdefault(f"/v1{reading.path}", {})
        found[reading.method.lower()] = writer.read(reading, gateway.operation(reading.action))
    offered = {one.action for one in operations}
    paths.update(resource_paths(offered, writer.parameters, gateway, failures))
    paths.update(blob_paths(failures))
    paths.update(proof_paths(offered, failures))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": options.title,
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}, {"session": [], "csrf": []}],
        "tags": _tags(operations),
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted({**schemas, **COMMON}.items())),
            "securitySchemes": SECURITY,
            "parameters": PARAMETERS,
            "responses": {f"E{status}": _failure(status) for status in TITLES},
        },
    }


PARAMETERS: dict[str, Any] = {
    "Namespace": {
        "name": "Squad-Namespace",
        "in": "header",
        "description": "Namespace, where the address names none.",
        "schema": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
    },
    "Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same call is one call.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": KEY_LENGTH_MAX,
            "pattern": "^[!-~]+$",
        },
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=SECONDS` for the longest wait; `respond-async` not to wait for runs.",
        "schema": {"type": "string"},
        "example": "wait=30",
    },
}


def reference(name: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": COMPONENTS.format(name=name)}


def content(schema: Mapping[str, Any], example: Any = None) -> dict[str, Any]:
    """Return what an answer may hold: one schema in every format."""
    first = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {
        one.media_types[0]: first if one is FORMATS[0] else {"schema": schema} for one in FORMATS
    }


def failures(*more: int) -> dict[str, Any]:
    """Return the errors that an address may answer with."""
    return {
        str(status): {"$ref": f"#/components/responses/E{status}"}
        for status in sorted({*ALWAYS, *more})
    }


def _failure(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": TITLES[status],
        "content": {PROBLEM: {"schema": reference("Problem")}},
    }
    if status in (429, 503):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        found["headers"] = {"Retry-After": seconds}
    return found


class _Writer:
    """Writes operations, given their schemas."""

    def __init__(self, shapes: Mapping[str, Shape], schemas: Mapping[str, Any]) -> None:
        self._shapes = shapes
        self._schemas = schemas

    def action_list(self) -> dict[str, Any]:
        """Return what lists actions."""
        return {
            "get": {
                "operationId": "actions",
                "tags": ["actions"],
                "summary": "List the actions there are.",
                "responses": {
                    "200": {"description": "Actions.", "content": content(reference("ActionList"))},
                    **failures(),
                },
            }
        }

    def described(self, operation: Operation) -> dict[str, Any]:
        """Return where an action describes itself."""
        return {
            "operationId": f"describe_{operation.action}",
            "tags": [operation.action.partition(".")[0]],
            "summary": f"Describe {operation.action}: its words, schemas and an example.",
            "responses": {
                "200": {
                    "description": "The action.",
                    "content": content(reference("ActionDescription")),
                },
                "304": {"description": "It is as you know it (If-None-Match)."},
                **failures(),
            },
        }

    def called(self, operation: Operation) -> dict[str, Any]:
        """Return an action's own address."""
        parameters = [{"$ref": "#/components/parameters/Prefer"}]
        if operation.realm == "namespace":
            parameters.insert(0, {"$ref": "#/components/parameters/Namespace"})
        if operation.effect not in NO_EFFECT:
            parameters.append({"$ref": "#/components/parameters/Key"})
        return {
            **self._words(operation, operation.action),
            "parameters": parameters,
            "requestBody": self._body(operation, self._shapes[operation.action].input),
            "responses": self._responses(operation, 200),
        }

    def read(self, reading: Reading, operation: Operation) -> dict[str, Any]:
        """Return the address of a reading, or of what stands behind one."""
        held = re.findall(r"\{(\w+)\}", reading.path)
        name = f"{reading.method.lower()} {reading.path}"
        found = self._words(operation, re.sub(r"\W+", "_", name).strip("_"))
        parameters = [self.parameter(operation, one, "path") for one in held]
        parameters.append({"$ref": "#/components/parameters/Namespace"})
        if reading.method == "GET":
            others = [one.name for one in operation.fields if one.name not in held]
            parameters += [self.parameter(operation, one, "query") for one in others]
            responses = self._responses(operation, 200)
            responses["304"] = {"description": "It is as you know it (If-None-Match)."}
            if reading.path == "/events":
                stream = {"schema": {"type": "string"}}
                responses["200"]["content"]["text/event-stream"] = stream
            return {**found, "parameters": parameters, "responses": responses}
        once = ("Key",) if operation.effect not in NO_EFFECT else ()
        for one in ("Prefer", *once):
            parameters.append({"$ref": f"#/components/parameters/{one}"})
        statuses = (reading.status, 202) if reading.location else (200,)
        return {
            **found,
            "parameters": parameters,
            "requestBody": self._body(operation, self._without(operation, held), held),
            "responses": self._responses(operation, *statuses, 412),
        }

    def _words(self, operation: Operation, name: str) -> dict[str, Any]:
        found = {
            "operationId": name,
            "tags": [operation.action.partition(".")[0]],
            "summary": operation.summary,
            "x-effect": operation.effect,
            "x-command": operation.example,
        }
        if operation.description:
            found["description"] = operation.description
        return found

    def _body(
        self, operation: Operation, schema: Mapping[str, Any], held: Iterable[str] = ()
    ) -> dict[str, Any]:
        left_out = set(held)
        example = {k: v for k, v in example_of(operation).items() if k not in left_out}
        needed = any(one.required and one.name not in left_out for one in operation.fields)
        formats = {one.media_types[0]: {"schema": schema} for one in FORMATS[1:3]}
        shown = {FORMATS[0].media_types[0]: {"schema": schema, "example": example}, **formats}
        return {"required": needed, "content": shown}

    def _without(self, operation: Operation, held: Iterable[str]) -> dict[str, Any]:
        """Return an input's schema without the fields that the address
        holds."""
        whole = self._input(operation)
        gone = set(held)
        properties = {k: v for k, v in whole.get("properties", {}).items() if k not in gone}
        required = [one for one in whole.get("required", ()) if one not in gone]
        found = {"type": "object", "properties": properties}
        return {**found, "required": required} if required else found

    def _input(self, operation: Operation) -> Mapping[str, Any]:
        schema = self._shapes[operation.action].input
        name = schema.get("$ref", "").rpartition("/")[2]
        found: Mapping[str, Any] = self._schemas[name] if name else schema
        return found

    def parameters(self, operation: Operation, held: Iterable[str]) -> list[dict[str, Any]]:
        """Return an operation's parameters in an address, but those held."""
        gone = set(held)
        return [
            self.parameter(operation, one.name, "query")
            for one in operation.fields
            if one.name not in gone
        ]

    def parameter(self, operation: Operation, name: str, where: str) -> dict[str, Any]:
        """Return one field of an input as a parameter."""
        field = next(one for one in operation.fields if one.name == name)
        given = self._input(operation).get("properties", {}).get(name, {})
        schema = _one_kind(given, field)
        found: dict[str, Any] = {"name": name, "in": where, "required": where == "path"}
        if where == "query":
            found["required"] = field.required
        if field.description:
            found["description"] = field.description
        if where == "path" and schema.get("type") == "string":
            schema = {**schema, "pattern": "^[\\w.:-]+$"}
        if field.kind == "json":
            return {**found, "content": {"application/json": {"schema": schema}}}
        return {**found, "schema": schema}

    def _responses(self, operation: Operation, *statuses: int) -> dict[str, Any]:
        schema = self._shapes[operation.action].output
        if writes_files(operation):
            schema = {
                "type": "object",
                "properties": {
                    "output": schema,
                    "files": {"type": "array", "items": reference("FileMade")},
                },
                "required": ["output", "files"],
            }
        found: dict[str, Any] = {}
        for status in statuses:
            if status < 300:
                words = "Under way." if status == 202 else "What came of it."
                found[str(status)] = {"description": words, "content": content(schema)}
        more = [status for status in statuses if status >= 300]
        return {**found, **failures(*SENDING, *more, *_keyed(operation))}


def _keyed(operation: Operation) -> tuple[int, ...]:
    return () if operation.effect in NO_EFFECT else (422,)


def _one_kind(schema: Mapping[str, Any], field: Field) -> dict[str, Any]:
    """Return a schema for text in an address: without null."""
    kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    found = {k: v for k, v in schema.items() if k not in ("anyOf", "default", "description")}
    if len(kinds) == 1:
        found = {**found, **kinds[0]}
    elif kinds:
        found["anyOf"] = kinds
    if field.kind == "integer" and "type" in found:
        found.setdefault("minimum", -(2**63))
        found.setdefault("maximum", 2**63 - 1)
    return found


def _mark_files(
    operations: Iterable[Operation], shapes: Mapping[str, Shape], schemas: dict[str, Any]
) -> None:
    """Say in the schemas that content stands in the place of paths."""
    for operation in operations:
        fields = {one.name: one for one in operation.fields if one.file}
        name = shapes[operation.action].input.get("$ref", "").rpartition("/")[2]
        if not fields or not name:
            continue
        whole = dict(schemas[name])
        properties = dict(whole["properties"])
        for field in fields.values():
            properties[field.name] = _file(field, properties[field.name])
        schemas[name] = {**whole, "properties": properties}


def _file(field: Field, schema: Mapping[str, Any]) -> dict[str, Any]:
    words = {k: v for k, v in schema.items() if k in ("description", "default")}
    if field.file == "out":
        found: dict[str, Any] = {"type": "string", "pattern": NO_PATH}
    elif field.kind == "list":
        found = {"type": "array", "items": reference("FileContent"), "minItems": 1}
    else:
        found = {"anyOf": [reference("FileContent"), reference("FileFolder"), {"type": "string"}]}
    if not field.required:
        inner = found.pop("anyOf", None)
        found = {"anyOf": [*(inner or [found]), {"type": "null"}]}
    return {**found, **words}


def _tags(operations: Iterable[Operation]) -> list[dict[str, str]]:
    names = {one.action.partition(".")[0] for one in operations} | set(TAGS)
    return [
        {"name": name, **({"description": TAGS[name]} if name in TAGS else {})}
        for name in sorted(names)
    ]


def encoded(found: Mapping[str, Any]) -> bytes:
    """Return a description as JSON, the same bytes for the same registry."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"
