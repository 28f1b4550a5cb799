"""Resource: declarative desired state, Kubernetes-shaped, checked against one
JSON Schema a kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

API_VERSION = "agentsquad.dev/v1"
SENSITIVE = "x-sensitive"  # a schema's keyword: what stands there is never quoted in an error


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Name and labels of a resource; names are DNS labels (RFC 1123)."""

    name: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What should be."""

    apiVersion: str
    kind: str
    metadata: Metadata
    spec: dict[str, Any]
    status: dict[str, Any] = {}


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of resource: its name, the JSON Schema (draft 2020-12) of its
    spec, and further checks.

    `check(spec)` returns (JSON Pointer, message, hint) for what a schema cannot
    say. `block` is another name that manifests may give the spec. `realm` is
    `system` for what concerns the whole installation and is kept there only.
    """

    name: str
    schema: Mapping[str, Any]
    summary: str
    plural: str = ""
    block: str = ""
    realm: Literal["namespace", "system"] = "namespace"
    check: Callable[[Mapping[str, Any]], list[tuple[str, str, str]]] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the schema."""
        text = json.dumps(self.schema, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
