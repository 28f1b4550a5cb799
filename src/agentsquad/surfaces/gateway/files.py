"""Files in calls: content in the place of paths on the way in, and back on the
way out.

An action reads and writes local files by path. From afar no path is taken: a
field marked `in` holds content, one marked `out` only a name, and what is
written there comes back with the answer.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.gateway.contract import File, PathRefusedError

NAME = re.compile(r"[^/\\\x00-\x1f]{1,255}")
FOLDER = "folder"
HOW = 'send {"name": "order.edi", "text": "…"}, or "base64", or {"$blob": "sha256:…"}'
Fetch = Callable[[str], Awaitable[bytes]]


class Scratch(Protocol):
    """Where the files of one call are."""

    def bring(self, field: str, number: int, file: File) -> str:
        """Write a file that came along; return its path."""
        ...

    def gather(self, field: str, files: Sequence[File]) -> str:
        """Write files into one folder; return its path."""
        ...

    def room(self, field: str, name: str) -> str:
        """Return a path where something may be written."""
        ...

    def made(self, field: str) -> list[File]:
        """Return what was written there."""
        ...

    def clear(self) -> None:
        """Remove everything."""
        ...


async def bring(
    value: Mapping[str, Any], marked: Mapping[str, str], scratch: Scratch, fetch: Fetch
) -> dict[str, Any]:
    """Return an input with paths in the place of content.

    A list of files becomes a list of paths; `{"folder": [file, …]}` one folder.
    Text that cannot be a path (it begins as JSON does) is left as it is, for
    fields that take either.
    """
    found = dict(value)
    for field, way in marked.items():
        given = found.get(field)
        if given is None:
            if way == "out" and field in found:
                del found[field]
            continue
        if way == "out":
            found[field] = scratch.room(field, safe_name(field, given))
        elif isinstance(given, list):
            files = [await _file(field, one, fetch) for one in given]
            found[field] = [scratch.bring(field, n, one) for n, one in enumerate(files)]
        elif isinstance(given, dict) and FOLDER in given:
            files = [await _file(field, one, fetch, deep=True) for one in given[FOLDER]]
            _refuse_clashes(field, [one.name for one in files])
            found[field] = scratch.gather(field, files)
        elif isinstance(given, dict):
            found[field] = scratch.bring(field, 0, await _file(field, given, fetch))
        elif not _literal(given):
            raise _refused(field)
    return found


def _refuse_clashes(field: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1 or any(one.startswith(f"{name}/") for one in names):
            raise InvalidError(
                f"{field}: two files are called {name!r}", code="gateway.content", hint=HOW
            )


def safe_name(field: str, given: Any) -> str:
    """Return a file's name, refused where it could be a path."""
    try:
        fits = isinstance(given, str) and NAME.fullmatch(given) and len(given.encode()) <= 255
    except UnicodeEncodeError:
        fits = False
    if not fits or given in (".", ".."):
        raise PathRefusedError(
            f"{field} is not the name of a file", hint="a name without folders, e.g. case.zip"
        )
    return str(given)


def _literal(given: Any) -> bool:
    return isinstance(given, str) and given.lstrip()[:1] in ("{", "[", '"')


def _refused(field: str) -> PathRefusedError:
    return PathRefusedError(
        f"{field} takes the content of a file, not a path of the server's disk", hint=HOW
    )


async def _file(field: str, given: Any, fetch: Fetch, *, deep: bool = False) -> File:
    if not isinstance(given, dict):
        raise _refused(field)
    name = given.get("name", field)
    parts = name.split("/") if deep and isinstance(name, str) else [name]
    clean = "/".join(safe_name(field, part) for part in parts)
    if isinstance(given.get("text"), str):
        return File(name=clean, data=given["text"].encode())
    if isinstance(given.get("base64"), str):
        try:
            return File(name=clean, data=base64.b64decode(given["base64"], validate=True))
        except (binascii.Error, ValueError):
            raise InvalidError(f"{field}: base64 is not valid", code="gateway.base64") from None
    if isinstance(given.get("$blob"), str):
        return File(name=clean, data=await fetch(given["$blob"]))
    raise InvalidError(f"{field} has no content", code="gateway.content", hint=HOW)
