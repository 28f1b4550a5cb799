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

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.gateway.contract import File, PathRefusedError

NAME = re.compile(r"[^/\\\x00-\x1f]{1,255}")
FOLDER = "folder"
CONTENT = ({"name", "text"}, {"name", "base64"}, {"$blob"}, {"name", "$blob"})  # keys of a file
HOW = 'send {"name": "order.edi", "text": "…"}, or "base64", or {"$blob": "sha256:…"}'
Fetch = Callable[[str], Awaitable[bytes]]


class Inputs(Protocol):
    """Where files are kept that runs read after the call that brought them; a
    port of each namespace."""

    def keep(self, files: Sequence[File], *, folder: bool) -> str:
        """Keep files, the same ones once; return the path of the folder, or of
        the only file."""
        ...


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

    def names(self, text: str) -> str:
        """Return a text with the names of files in the place of their paths."""
        ...

    def clear(self) -> None:
        """Remove everything."""
        ...


async def bring(
    value: Mapping[str, Any],
    marked: Mapping[str, str],
    scratch: Scratch,
    fetch: Fetch,
    inputs: Callable[[], Inputs],
) -> dict[str, Any]:
    """Return an input with paths in the place of content.

    A list of files becomes a list of paths; `{"folder": [file, …]}` one folder.
    For a field marked `json` any other value is JSON itself, and `{"json": …}`
    is one that looks like a file; files that it takes are kept, since runs read
    them later.
    """
    found = dict(value)
    for field, way in marked.items():
        given = found.get(field)
        if given is None:
            if way == "out" and field in found:
                del found[field]
        elif way == "out":
            found[field] = scratch.room(field, safe_name(field, given))
        elif way == "json" and not _content(given):
            found[field] = _json(field, given)
        elif way == "json":
            files, folder = await _files(field, given, fetch)
            found[field] = inputs().keep(files, folder=folder)
        else:
            found[field] = await _brought(field, given, scratch, fetch)
    return found


async def _brought(field: str, given: Any, scratch: Scratch, fetch: Fetch) -> Any:
    if isinstance(given, list):
        files = [await _file(field, one, fetch) for one in given]
        return [scratch.bring(field, n, one) for n, one in enumerate(files)]
    files, folder = await _files(field, given, fetch)
    return scratch.gather(field, files) if folder else scratch.bring(field, 0, files[0])


async def _files(field: str, given: Any, fetch: Fetch) -> tuple[list[File], bool]:
    """Return the files of a value, and whether they are a folder."""
    if not isinstance(given, dict) or FOLDER not in given:
        return [await _file(field, given, fetch)], False
    inside = given[FOLDER] if isinstance(given[FOLDER], list) else []
    files = [await _file(field, one, fetch, deep=True) for one in inside]
    _refuse_clashes(field, [one.name for one in files])
    return files, True


def _content(given: Any) -> bool:
    """Whether a value is the content of a file and cannot well be anything
    else."""
    if not isinstance(given, dict):
        return False
    return set(given) in CONTENT or (
        set(given) == {FOLDER}
        and isinstance(given[FOLDER], list)
        and all(isinstance(one, dict) for one in given[FOLDER])
    )


def _json(field: str, given: Any) -> str:
    """Return JSON as the text that an action reads."""
    if isinstance(given, dict) and set(given) == {"json"}:
        given = given["json"]
    if not isinstance(given, str):
        return msgspec.json.encode(given).decode()
    try:
        msgspec.json.decode(given)
    except msgspec.DecodeError:
        raise PathRefusedError(
            f"{field} takes JSON, or the content of a file; not a path of the server's disk",
            hint=HOW,
        ) from None
    return given


def unplaced(value: Any, scratch: Scratch) -> Any:
    """Return plain JSON as somebody afar may read it: files by name, wherever
    they were meanwhile."""
    if isinstance(value, str):
        return scratch.names(value)
    if isinstance(value, Mapping):
        return {key: unplaced(one, scratch) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [unplaced(one, scratch) for one in value]
    return value


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
