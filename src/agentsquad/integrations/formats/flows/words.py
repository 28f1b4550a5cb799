"""Words: names and lengths of time as manifests write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ISO = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,3})\d*)?S)?)?"
)
_UNITS = {"days": "d", "hours": "h", "minutes": "m", "seconds": "s", "milliseconds": "ms"}


class Names:
    """Gives every node a name of its own that manifests allow."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, wanted: str) -> str:
        """Return a name like the wanted one."""
        clean = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-_") or "node"
        clean = clean if clean[0].isalpha() else f"n{clean}"
        clean = clean[:50].rstrip("-_")
        name, number = clean, 1
        while name in self._taken:
            number += 1
            name = f"{clean}-{number}"
        self._taken.add(name)
        return name


def label(wanted: str) -> str:
    """Return a name for a workflow: a DNS label."""
    clean = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:60].strip("-")
    return clean or "flow"


def duration(value: Any) -> str | None:
    """Return a length of time (ISO 8601, or units by name) as manifests write
    it; None for what is no fixed length."""
    if isinstance(value, Mapping):
        parts = [f"{value[unit]}{short}" for unit, short in _UNITS.items() if value.get(unit)]
        return "".join(parts) or ("0ms" if value.keys() <= _UNITS.keys() else None)
    found = _ISO.fullmatch(str(value).strip())
    if found is None or found[0] in ("P", "PT"):
        return None
    years, months, weeks, days, hours, minutes, seconds, part = found.groups()
    if years or months:
        return None  # they are not of one length
    named = {"w": weeks, "d": days, "h": hours, "m": minutes, "s": seconds}
    text = "".join(f"{int(size)}{unit}" for unit, size in named.items() if size)
    return text + (f"{int(part.ljust(3, '0'))}ms" if part else "")
