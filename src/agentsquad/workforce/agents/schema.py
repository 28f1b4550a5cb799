"""Checking an answer against a JSON Schema; validators are compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from agentsquad.kernel import canonical


def problems(schema: Mapping[str, Any], value: Any) -> str:
    """Return what is wrong with a value, "" if nothing."""
    found = [
        f"{'/' + '/'.join(str(p) for p in error.instance_path) if error.instance_path else '/'}: "
        f"{error.message}"
        for error in _validator(canonical.dumps(schema)).iter_errors(value)
    ]
    return "; ".join(found[:5])


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(canonical.loads(schema))
