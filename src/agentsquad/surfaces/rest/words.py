"""Words: what the description of REST says that no spec says: its
introduction, the schemas that belong to HTTP, and how somebody shows who they
are."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.errors import TABLE

ABOUT = """\
Every capability of Agent Squad over HTTP.

**Actions.** `POST /v1/actions/NAME` with the input as body calls an action. `GET
/v1/actions/NAME` describes it. Runs, approvals, events, blobs, proofs and resources have
addresses of their own.

**Namespaces.** An address begins with `/v1/namespaces/NAMESPACE/` or with `/v1/`; then the
header `Squad-Namespace` names it, else it is `default`.

**Formats.** Bodies and answers are JSON, YAML (`application/yaml`), MessagePack
(`application/msgpack`) or XML (`application/xml`, in the form that XPath and XQuery
Functions 3.1 define for JSON). Errors are problems (RFC 9457) in JSON. Answers are
compressed with gzip or deflate where that is asked for and nothing in them is secret.

**Writing once.** With an `Idempotency-Key` the same call is carried out once and answered
alike each time (`Idempotency-Replayed: true`); the key with another call is 422.

**Reading again.** Readings have an `ETag`; `If-None-Match` answers 304. `If-Match` binds a
write to what was read, `If-None-Match: *` to there being nothing; otherwise 412.

**Files.** Where an action takes a file, its content is sent: `{"name": …, "text": …}`,
`{"name": …, "base64": …}` or `{"name": …, "$blob": "sha256:…"}`, or a whole folder
`{"folder": […]}`. What it makes comes back in `files`.
"""

TAGS = {
    "actions": "What can be done.",
    "resources": "What should be.",
    "runs": "What is being done.",
    "approvals": "What waits for people.",
    "log": "What happened.",
    "blobs": "Large values, kept under their digest.",
    "proofs": "Evidence for those who were not there.",
}

SECURITY: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, an access token, or the token of the first start.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-squad",
        "description": "Of a browser that signed in at /login (`squad` without TLS).",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "Squad-Csrf",
        "description": "With a session, for everything that changes something.",
    },
}

NAME = {"type": "string", "description": "Name of a file, without folders."}
LABEL = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}

COMMON: dict[str, Any] = {
    "Problem": {
        "type": "object",
        "description": "What went wrong (RFC 9457), and what to do next.",
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "Names the code."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was expected, and what was found."},
            "code": {"type": "string", "description": "Stable, with dots."},
            "hint": {"type": "string", "description": "How to fix it."},
            "class": {"enum": sorted(cls.__name__ for cls in TABLE)},
            "details": {"type": "object"},
            "retry_after_ms": {"type": "integer"},
        },
        "required": ["type", "title", "status", "detail", "code"],
    },
    "ActionList": {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "summary": {"type": "string"},
                        "effect": {"enum": ["pure", "read", "write", "irreversible"]},
                        "realm": {"enum": ["namespace", "system"]},
                        "command": {"type": "string"},
                    },
                    "required": ["name", "summary", "effect", "realm", "command"],
                },
            }
        },
        "required": ["items"],
    },
    "ActionDescription": {
        "type": "object",
        "properties": {
            "action": {"type": "string"},
            "summary": {"type": "string"},
            "effect": {"enum": ["pure", "read", "write", "irreversible"]},
            "input": {"type": "object", "description": "JSON Schema of what it takes."},
            "output": {"type": "object", "description": "JSON Schema of what it returns."},
            "example": {"type": "object", "description": "An input."},
            "command": {"type": "string"},
        },
        "required": ["action", "summary", "effect", "input", "output", "example", "command"],
    },
    "FileContent": {
        "description": "A file: its content as text, in base64, or as a blob.",
        "anyOf": [
            {
                "type": "object",
                "properties": {"name": NAME, what: {"type": "string", **more}},
                "required": [what],
            }
            for what, more in (
                ("text", {}),
                ("base64", {"contentEncoding": "base64"}),
                ("$blob", {"pattern": "^sha256:[0-9a-f]{64}$"}),
            )
        ],
    },
    "FileFolder": {
        "type": "object",
        "description": "Files in the place of a folder; their names may hold `/`.",
        "properties": {
            "folder": {"type": "array", "items": {"$ref": "#/components/schemas/FileContent"}}
        },
        "required": ["folder"],
    },
    "FileMade": {
        "type": "object",
        "description": "A file that an action wrote.",
        "properties": {
            "name": {"type": "string"},
            "media_type": {"type": "string"},
            "size": {"type": "integer"},
            "base64": {"type": "string", "contentEncoding": "base64"},
        },
        "required": ["name", "media_type", "size", "base64"],
    },
    "Blob": {
        "type": "object",
        "description": "How to refer to bytes that are kept.",
        "properties": {
            "$blob": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
            "size": {"type": "integer"},
            "media_type": {"type": "string"},
        },
        "required": ["$blob", "size"],
    },
    "Resource": {
        "type": "object",
        "description": "What should be; `spec` is that of its kind (`squad explain KIND`).",
        "properties": {
            "apiVersion": {"const": "agentsquad.dev/v1"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": LABEL, "labels": TEXTS, "annotations": TEXTS},
            },
            "spec": {"type": "object"},
            "status": {"type": "object"},
        },
        "required": ["spec"],
    },
    "ResourceList": {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"type": "object"}},
            "next": {"type": ["string", "null"]},
        },
        "required": ["items"],
    },
}
