"""The verdict: what about a run's outcome is to be explained, in one word.

Pure. For a document inside a run it is what was decided about that document;
otherwise the run's own `outcome`, its error, or its whole output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentsquad.kernel import hashing

_WORDS = ("disposition", "outcome", "decision", "status", "result")
_REASONS = ("because", "reason")


def verdict(status: str, output: Any, error: Any, document: str | None) -> str:
    """Return the answer that is explained."""
    if status != "completed":
        code = (error or {}).get("code") if isinstance(error, Mapping) else None
        return f"{status}: {code}" if code else status
    if document is not None:
        own = isinstance(output, Mapping) and document in output.values()
        for found in [output] if own else about(output, document):
            for word in _WORDS:
                if isinstance(found.get(word), str):
                    return str(found[word])
    if isinstance(output, Mapping):
        for word in _WORDS:
            if isinstance(output.get(word), (str, bool)):
                return str(output[word])
    if isinstance(output, (str, int, float, bool)) or output is None:
        return str(output)
    return hashing.digest(output)[:19]


def about(value: Any, document: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a value that name a document, innermost first."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from about(inner, document)
        if any(inner == document for inner in value.values()):
            yield value
    elif isinstance(value, list):
        for inner in value:
            yield from about(inner, document)


def reasons(value: Any, document: str | None) -> list[str]:
    """Return what an output itself gives as reasons, those about the document
    first."""
    found: list[str] = []
    objects = list(about(value, document)) if document is not None else []
    for one in [*objects, *([] if objects and _said(objects) else _objects(value))]:
        for word in _REASONS:
            text = one.get(word)
            if isinstance(text, str) and text and text not in found:
                found.append(text)
    return found


def _said(objects: list[Mapping[str, Any]]) -> bool:
    return any(isinstance(one.get(word), str) for one in objects for word in _REASONS)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)
