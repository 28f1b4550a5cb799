"""Paths: the addresses that are described apart, since no one action is behind
them: resources, blobs and proofs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.gateway.operation import Operation

Failures = Callable[..., dict[str, Any]]
Parameters = Callable[[Operation, Iterable[str]], list[dict[str, Any]]]
NAMESPACE = {"$ref": "#/components/parameters/Namespace"}
KEY = {"$ref": "#/components/parameters/Key"}
UNCHANGED = {"304": {"description": "It is as you know it (If-None-Match)."}}
WRITES = (409, 412, 413, 415, 422)
BYTES = {"schema": {"type": "string", "format": "binary"}}
WATCH = (
    "With `watch=1` the answer goes on: a line of JSON for each change from now on, or after the "
    "number `after`; server-sent events where `Accept` asks for them."
)
MERGE = "application/merge-patch+json"


def resource_paths(
    offered: set[str], parameters: Parameters, gateway: Gateway, failures: Failures
) -> dict[str, Any]:
    """Return the addresses of resources, in both forms."""
    if "resources.get" not in offered:
        return {}
    kinds = sorted(one.plural.lower() or one.name.lower() for one in gateway.kinds().values())
    kind = _path("kind", {"type": "string", "enum": kinds}, "A kind, singular or plural.")
    pattern = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
    name = _path("name", {"type": "string", "pattern": pattern}, "Its name.")
    space = _path("ns", {"type": "string", "pattern": pattern}, "The namespace.")
    listing = []
    if "resources.list" in offered:
        listing = parameters(gateway.operation("resources.list"), ["kind"])
    found: dict[str, Any] = {}
    forms = ((("/v1/resources"), [NAMESPACE], ""), ("/v1/namespaces/{ns}", [space], "namespaced_"))
    for base, first, prefix in forms:
        words = _Words(prefix, failures)
        if "resources.list" in offered:
            found[f"{base}/{{kind}}"] = {"get": words.listed([*first, kind, *listing])}
        found[f"{base}/{{kind}}/{{name}}"] = {
            "get": words.got([*first, kind, name]),
            "put": words.put([*first, kind, name, *CONDITIONS, KEY]),
            "patch": words.patched([*first, kind, name, *CONDITIONS, KEY]),
            "delete": words.deleted([*first, kind, name, CONDITIONS[0], KEY]),
        }
    return found


def _path(name: str, schema: dict[str, Any], words: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": words, "schema": schema}


def _condition(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}


CONDITIONS = [
    _condition("If-Match", "Only if it is still as its entity tag says."),
    _condition("If-None-Match", "`*`: only if there is none yet."),
]


class _Words:
    def __init__(self, prefix: str, failures: Failures) -> None:
        self._prefix = prefix
        self._failures = failures

    def _of(self, name: str, summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "operationId": self._prefix + name,
            "tags": ["resources"],
            "summary": summary,
            "parameters": parameters,
        }

    def _answers(self, schema: str, *more: int, made: bool = False) -> dict[str, Any]:
        body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        found = {"200": {"description": "As it is now.", "content": body}}
        if made:
            found["201"] = {"description": "It is new.", "content": body}
        return {**found, **self._failures(*more)}

    def listed(self, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the list of a kind."""
        responses = {**self._answers("ResourceList"), **UNCHANGED}
        for media_type in ("application/x-ndjson", "text/event-stream"):
            responses["200"]["content"][media_type] = {"schema": {"type": "string"}}
        found = self._of("resource_list", "List the resources of a kind.", parameters)
        return {**found, "description": WATCH, "responses": responses}

    def got(self, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        """Return one resource."""
        found = self._of("resource_get", "Return one resource.", parameters)
        return {**found, "responses": {**self._answers("Resource"), **UNCHANGED}}

    def put(self, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        """Return how one is made."""
        schema = {"$ref": "#/components/schemas/Resource"}
        return {
            **self._of("resource_put", "Make a resource so.", parameters),
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": self._answers("Resource", *WRITES, made=True),
        }

    def patched(self, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        """Return how one is changed in parts."""
        return {
            **self._of("resource_patch", "Change parts of one (RFC 7396).", parameters),
            "requestBody": {"required": True, "content": {MERGE: {"schema": {"type": "object"}}}},
            "responses": self._answers("Resource", *WRITES),
        }

    def deleted(self, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        """Return how one goes."""
        body = {"application/json": {"schema": {"type": "object"}}}
        return {
            **self._of("resource_delete", "Take a resource away.", parameters),
            "responses": {
                "200": {"description": "What went.", "content": body},
                **self._failures(409, 412, 422),
            },
        }


def blob_paths(failures: Failures) -> dict[str, Any]:
    """Return the addresses of blobs."""
    digest = _path(
        "digest", {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}, "Digest of the bytes."
    )
    blob = {"application/json": {"schema": {"$ref": "#/components/schemas/Blob"}}}
    return {
        "/v1/blobs": {
            "post": {
                "operationId": "blob_keep",
                "tags": ["blobs"],
                "summary": "Keep bytes and return how to refer to them.",
                "parameters": [NAMESPACE],
                "requestBody": {"content": {"application/octet-stream": BYTES}},
                "responses": {
                    "201": {"description": "They are kept.", "content": blob},
                    **failures(413, 415),
                },
            }
        },
        "/v1/blobs/{digest}": {
            "get": {
                "operationId": "blob_give",
                "tags": ["blobs"],
                "summary": "Return the bytes of a blob.",
                "parameters": [NAMESPACE, digest],
                "responses": {
                    "200": {
                        "description": "The bytes.",
                        "content": {"application/octet-stream": BYTES},
                    },
                    **UNCHANGED,
                    **failures(),
                },
            }
        },
    }


def proof_paths(offered: set[str], failures: Failures) -> dict[str, Any]:
    """Return the address of proofs."""
    if not {"log.prove", "attest.prove"} <= offered:
        return {}
    subject = _path(
        "subject", {"type": "string", "pattern": "^[a-z0-9-]{1,100}$"}, "A run, or a number."
    )
    return {
        "/v1/proofs/{subject}": {
            "get": {
                "operationId": "prove",
                "tags": ["proofs"],
                "summary": "Prove an event by its number, or write the case of a run.",
                "parameters": [NAMESPACE, subject],
                "responses": {
                    "200": {
                        "description": "A proof, or a case: a file that says how to verify it.",
                        "content": {
                            "application/json": {"schema": {"type": "object"}},
                            "application/zip": BYTES,
                        },
                    },
                    **UNCHANGED,
                    **failures(),
                },
            }
        }
    }
