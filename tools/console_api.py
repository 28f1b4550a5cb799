"""Writes the description of REST that the console's typed client is made of.

It starts no server. What the console does not use is left out, so that the
types stay quick to check: other media types than JSON, answers that are errors
(they are all one problem), and the second spelling of each address.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from agentsquad.assembly.catalogue import plugins
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.operation import Operation, operations
from agentsquad.surfaces.rest.contract import Options
from agentsquad.surfaces.rest.openapi import document, encoded

FILE = Path(__file__).parent.parent / "console" / "src/shared/api/generated/openapi.json"


class Offered:
    """What a gateway offers, without one."""

    def __init__(self, registry: Registry) -> None:
        self._found = {
            one.action: one
            for one in sorted(operations(registry), key=lambda one: one.action)
            if not one.local
        }
        self._kinds = registry.kinds

    def operations(self) -> list[Operation]:
        """Return what may be called from afar."""
        return list(self._found.values())

    def operation(self, action: str) -> Operation:
        """Return one of them."""
        return self._found[action]

    def kinds(self) -> Any:
        """Return the kinds of resources."""
        return self._kinds


def slim(found: dict[str, Any]) -> dict[str, Any]:
    """Return a description with what the console calls, as JSON."""
    paths = {}
    for path, item in found["paths"].items():
        if path.startswith("/v1/namespaces"):
            continue
        kept = {}
        for method, told in item.items():
            if path.startswith("/v1/actions/") and method != "post":
                continue
            answers = {k: _json(v) for k, v in told["responses"].items() if k.startswith("2")}
            kept[method] = {**told, "responses": answers}
            if "requestBody" in told:
                kept[method]["requestBody"] = _json(told["requestBody"])
        paths[path] = kept
    components = {**found["components"], "responses": {}}
    return {**found, "paths": paths, "components": components}


def _json(told: dict[str, Any]) -> dict[str, Any]:
    content = told.get("content")
    if not content or "application/json" not in content:
        return told
    return {**told, "content": {"application/json": content["application/json"]}}


def main() -> int:
    """Write it where the generator of the client looks for it."""
    registry = Registry(plugins())
    offered = Offered(registry)
    found = document(offered, registry, Options())  # type: ignore[arg-type]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    text = encoded(slim(found))
    if not FILE.exists() or FILE.read_bytes() != text:
        FILE.write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
