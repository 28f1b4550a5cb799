"""Outputs for programs: JSON and YAML, whatever letters the terminal has."""

from __future__ import annotations

import json
import sys
from typing import Any


def written(value: Any, form: str) -> str:
    """Return a value as JSON or YAML; letters the output lacks are escaped."""
    every_letter = (sys.stdout.encoding or "").lower().startswith("utf")
    if form == "json":
        return json.dumps(value, ensure_ascii=not every_letter, indent=2, default=str) + "\n"
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=every_letter)
    return text
