"""Files of commands that a server carries out: read here, sent there, and what
was made there written here.

A field that names a file holds its path on this machine. Its content travels
under its last name; in what comes back, that name is the path again.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError, MissingError, SquadError
from agentsquad.surfaces.gateway.contract import File

INLINE_MAX = 512 * 1024  # bytes; longer files go as blobs of their own
STANDARD = "-"
Keep = Callable[[File], Awaitable[Mapping[str, Any]]]


class Luggage:
    """The files of one call."""

    def __init__(self, marked: Mapping[str, str], keep: Keep) -> None:
        self._marked = marked
        self._keep = keep
        self._names: dict[str, str] = {}
        self._out: dict[str, Path] = {}

    async def packed(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return an input with content in the place of paths."""
        found = dict(value)
        for field, way in self._marked.items():
            given = found.get(field)
            if given is None:
                continue
            if way == "out":
                found[field] = self._target(field, str(given))
            elif way == "json" and _is_json(given):
                found[field] = msgspec.json.decode(given)
            elif isinstance(given, Sequence) and not isinstance(given, str):
                found[field] = [await self._file(str(one)) for one in given]
            elif isinstance(given, str):
                found[field] = await self._either(given)
        return found

    def _target(self, field: str, given: str) -> str:
        path = Path(given)
        name = path.name or field
        self._out[name] = path
        self._names[name] = given
        return name

    async def _either(self, given: str) -> dict[str, Any]:
        inside = None if given == STANDARD else _inside(given)
        if inside is None:
            return await self._file(given)
        return {"folder": [await self._content(name, data) for name, data in inside]}

    async def _file(self, given: str) -> dict[str, Any]:
        if given == STANDARD:
            self._names["stdin"] = STANDARD
            return await self._content("stdin", sys.stdin.buffer.read())
        path = Path(given)
        self._names.setdefault(path.name, given)
        return await self._content(path.name, _bytes(path))

    async def _content(self, name: str, data: bytes) -> dict[str, Any]:
        if len(data) > INLINE_MAX:
            kept = await self._keep(File(name=name, data=data))
            return {"name": name, "$blob": kept["$blob"]}
        try:
            return {"name": name, "text": data.decode("utf-8")}
        except UnicodeDecodeError:
            return {"name": name, "base64": base64.b64encode(data).decode()}

    def unpacked(self, files: Sequence[File]) -> None:
        """Write what came back."""
        for file in files:
            parts = PurePosixPath(file.name).parts
            target = self._out.get(parts[0]) if parts else None
            if target is None or ".." in parts:
                raise InvalidError(
                    f"the server sent a file nobody asked for: {file.name[:80]!r}",
                    code="server.file",
                )
            place = target.joinpath(*parts[1:])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.data)

    def named(self, value: Any) -> Any:
        """Return an output with paths of this machine where files are
        named."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {name: self.named(inner) for name, inner in value.items()}
        return [self.named(one) for one in value] if isinstance(value, list) else value

    def _text(self, text: str) -> str:
        if text in self._names:
            return self._names[text]
        head, colon, rest = text.partition(":")
        if colon and head in self._names:
            return self._names[head] + colon + rest
        return text

    def tell(self, error: SquadError) -> None:
        """Say in an error which file of this machine is meant."""
        error.message = self._text(error.message)
        error.details = self.named(error.details)
        error.args = (error.message,)


def _is_json(given: Any) -> bool:
    return isinstance(given, str) and given.lstrip()[:1] in ("{", "[", '"')


def _inside(given: str) -> list[tuple[str, bytes]] | None:
    """Return what is in a folder, by name; None where it is none."""
    path = Path(given)
    if not path.is_dir():
        return None
    files = sorted(one for one in path.rglob("*") if one.is_file())
    return [(one.relative_to(path).as_posix(), _bytes(one)) for one in files]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"{path}: no such file", code="file.missing") from None
    except OSError as error:
        raise InvalidError(
            f"{path} cannot be read: {error.strerror}", code="file.unreadable"
        ) from error
