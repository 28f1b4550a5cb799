"""Names: what actions, fields and types are called in GraphQL."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentsquad.surfaces.gateway.shapes import telling

WORD = re.compile(r"[A-Za-z0-9]+")


def field_name(name: str) -> str:
    """Return `runs.export_test` as `runsExportTest`."""
    first, *rest = WORD.findall(name) or ["x"]
    joined = first[0].lower() + first[1:] + "".join(word[0].upper() + word[1:] for word in rest)
    return joined if not joined[0].isdigit() else f"x{joined}"


def type_name(name: str) -> str:
    """Return `export-test` as `ExportTest`."""
    found = field_name(name)
    return found[0].upper() + found[1:]


def enum_name(value: str) -> str | None:
    """Return how a value is spelled as a member of an enumeration, None where
    it cannot be."""
    spelled = re.sub(r"[^A-Za-z0-9]+", "_", value).upper()
    fits = re.fullmatch(r"[A-Z_][A-Z0-9_]*", spelled) and spelled.strip("_")
    return spelled if fits and not spelled.startswith("__") else None


def type_names(components: Iterable[str], reserved: Iterable[str]) -> dict[str, str]:
    """Return the names of types, by the names of their schemas; none of those
    reserved.

    One that several modules use has its module's before it.
    """
    found: dict[str, str] = {}
    taken = set(reserved)
    for component in sorted(components, key=lambda one: (one.count("."), one)):
        *places, last = telling(component)
        name = type_name(last)
        for place in reversed(places):
            if name not in taken and "." not in component:
                break
            name = type_name(place) + name
            if name not in taken:
                break
        number = 2
        base = name
        while name in taken:
            name, number = f"{base}{number}", number + 1
        taken.add(name)
        found[component] = name
    return found
