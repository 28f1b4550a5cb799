"""Values that fit a schema, drawn from a seed: what the world answers when
nobody recorded what it said.

Examples in the schema go first. Only what the schema promises is kept to; the
values mean nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from agentsquad.kernel.schema import resolve

DEEP = 6  # below this, only what is required is given


@lru_cache(maxsize=1024)
def schema_of(shape: Any) -> Mapping[str, Any]:
    """Return the JSON Schema of an action's input or output; {} for Any."""
    return {} if shape is Any else msgspec.json.schema(shape)


class Sample:
    """Draws values; the same seed gives the same values."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def below(self, limit: int) -> int:
        """Return a number in [0, limit)."""
        self._count += 1
        drawn = hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") % max(1, limit)

    def of(self, shape: Any) -> Any:
        """Return plain JSON that fits a type."""
        schema = schema_of(shape)
        return self.fit(schema, schema)

    def fit(self, schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int = 0) -> Any:
        """Return plain JSON that fits a part of a schema."""
        rule = resolve(whole, schema)
        if rule.get("examples"):
            return rule["examples"][self.below(len(rule["examples"]))]
        if "const" in rule:
            return rule["const"]
        if rule.get("enum"):
            return rule["enum"][self.below(len(rule["enum"]))]
        for word in ("anyOf", "oneOf"):
            if rule.get(word):
                ways = [w for w in rule[word] if w.get("type") != "null"] or rule[word]
                return self.fit(ways[self.below(len(ways))], whole, depth + 1)
        kind = rule.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        return self._typed(kind, rule, whole, depth)

    def _typed(self, kind: Any, rule: Mapping[str, Any], whole: Any, depth: int) -> Any:
        if kind == "object" or (kind is None and "properties" in rule):
            return self._object(rule, whole, depth)
        if kind == "array":
            return self._array(rule, whole, depth)
        if kind == "integer":
            low = rule.get("minimum", rule.get("exclusiveMinimum", -1) + 1)
            high = rule.get("maximum", rule.get("exclusiveMaximum", low + 1001) - 1)
            return int(low) + self.below(int(high) - int(low) + 1)
        if kind == "number":
            low = float(rule.get("minimum", 0.0))
            high = float(rule.get("maximum", low + 1000.0))
            return low + (high - low) * self.below(10_001) / 10_000
        if kind == "boolean":
            return bool(self.below(2))
        if kind == "string":
            return self._text(rule)
        return {} if kind is None else None

    def _object(self, rule: Mapping[str, Any], whole: Any, depth: int) -> dict[str, Any]:
        required = set(rule.get("required", ()))
        return {
            name: self.fit(inner, whole, depth + 1)
            for name, inner in rule.get("properties", {}).items()
            if name in required or (depth < DEEP and "default" not in inner)
        }

    def _array(self, rule: Mapping[str, Any], whole: Any, depth: int) -> list[Any]:
        first = [self.fit(one, whole, depth + 1) for one in rule.get("prefixItems", ())]
        low = int(rule.get("minItems", 0)) - len(first)
        rest = rule.get("items")
        if not isinstance(rest, Mapping):
            return first
        more = self.below(3) if depth < DEEP else 0
        return first + [self.fit(rest, whole, depth + 1) for _ in range(max(low, more))]

    def _text(self, rule: Mapping[str, Any]) -> str:
        dated = {
            "date": "2026-01-02",
            "date-time": "2026-01-02T03:04:05Z",
            "time": "03:04:05",
            "uuid": "00000000-0000-4000-8000-000000000000",
            "byte": "",
        }
        if rule.get("format") in dated:
            return dated[rule["format"]]
        text = f"text-{self.below(1000)}"
        low, high = int(rule.get("minLength", 0)), rule.get("maxLength")
        return text.ljust(low, "x")[: high if high is not None else None]
