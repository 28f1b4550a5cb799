"""Parts: files of messages and artifacts, and what is taken and given in their
place. Pure.

Inside, a file is a blob: a part of a kept message has its address
`squad://blobs/DIGEST`, and work is given `{"$blob": …}`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.gateway.contract import File, Operation

BLOBS = "squad://blobs/"
ANY = "application/octet-stream"
INLINE_MAX = 2**20  # a file beyond it is given by its address
FILES = "files"
FIELD = "field"  # in a part's metadata: the field of the input that it is


def is_file(part: Mapping[str, Any]) -> bool:
    """Whether a part is a file."""
    return "raw" in part or "url" in part


def brought(part: Mapping[str, Any]) -> File | None:
    """Return the bytes that a part brings along; None where it brings none."""
    given = part.get("raw")
    if given is None:
        return None
    try:
        data = base64.b64decode(str(given) + "=" * (-len(str(given)) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidError("expected raw of a part to be base64", code="a2a.params") from None
    return File(name=named(part), data=data, media_type=media_type(part))


def named(part: Mapping[str, Any]) -> str:
    """Return the name of a part's file."""
    return str(part.get("filename") or "file")


def media_type(part: Mapping[str, Any]) -> str:
    """Return the media type of a part's file."""
    return str(part.get("mediaType") or ANY)


def kept(part: Mapping[str, Any], blob: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part that names a blob in the place of what it brought."""
    meta = part.get("metadata")
    size = blob.get("size", 0)
    return {
        "url": BLOBS + str(blob["$blob"]),
        "filename": named(part),
        "mediaType": media_type(part),
        "metadata": {**(meta if isinstance(meta, Mapping) else {}), "size": size},
    }


def reference(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the blob that a kept part names, as work is given it."""
    url, meta = part.get("url"), part.get("metadata")
    if not isinstance(url, str) or not url.startswith(BLOBS):
        return None
    size = meta.get("size", 0) if isinstance(meta, Mapping) else 0
    return {
        "$blob": url.removeprefix(BLOBS),
        "size": size,
        "media_type": media_type(part),
        "name": named(part),
    }


def field_of(part: Mapping[str, Any]) -> str:
    """Return which field of the input a part says it is; "" if it does not."""
    meta = part.get("metadata")
    found = meta.get(FIELD) if isinstance(meta, Mapping) else None
    return found if isinstance(found, str) else ""


def with_files(data: Any, parts: Sequence[Any]) -> Any:
    """Return data with the files that came along: each under the field that it
    names, the others under `files`."""
    found = [(field_of(part), reference(part)) for part in parts if isinstance(part, Mapping)]
    files = [(field, one) for field, one in found if one is not None]
    if not files:
        return data
    body = dict(data) if isinstance(data, Mapping) else {} if data is None else {"data": data}
    body.update({field: one for field, one in files if field})
    others = [one for field, one in files if not field]
    if others:
        body.setdefault(FILES, others)
    return body


def into(operation: Operation, data: Any, parts: Sequence[Any]) -> dict[str, Any]:
    """Return the input of an action with the files that came along: each in the
    field that it names, else in the next one that takes a file."""
    if data is not None and not isinstance(data, Mapping):
        raise InvalidError("expected the data to be the action's input", code="a2a.params")
    body = dict(data or {})
    taking = [one for one in operation.fields if one.file in ("in", "json")]
    for part in parts:
        blob = reference(part) if isinstance(part, Mapping) else None
        if blob is None:
            continue
        name = field_of(part) or next((one.name for one in taking if one.name not in body), "")
        field = next((one for one in taking if one.name == name), None)
        if field is None and taking and taking[-1].kind == "list":
            field, name = taking[-1], taking[-1].name
        if field is None:
            raise InvalidError(f"{operation.action} takes no further file", code="a2a.params")
        content = {"name": blob["name"], "$blob": blob["$blob"]}
        body[name] = [*body.get(name, []), content] if field.kind == "list" else content
    return body


def blobs_in(value: Any, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return (name, blob) of every blob that a value refers to."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$blob"), str):
            yield str(value.get("name") or name or "file"), value
            return
        for key, one in value.items():
            yield from blobs_in(one, str(key))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from blobs_in(one, name)


def file_parts(value: Any) -> list[dict[str, Any]]:
    """Return the files that an output refers to as parts, each once."""
    found: dict[str, dict[str, Any]] = {}
    for name, blob in blobs_in(value):
        part = {"filename": name, "mediaType": blob.get("media_type") or ANY}
        found.setdefault(str(blob["$blob"]), kept(part, blob))
    return list(found.values())


def whole(file: File) -> dict[str, Any]:
    """Return a file as a part that holds all of it."""
    raw = base64.b64encode(file.data).decode()
    return {"raw": raw, "filename": file.name, "mediaType": file.media_type}


async def filled(
    artifacts: Sequence[dict[str, Any]],
    fetch: Callable[[str], Awaitable[bytes]],
    base: str,
    inline_max: int = INLINE_MAX,
) -> list[dict[str, Any]]:
    """Return artifacts with the bytes of small files in them, and with the
    address below `base` of others; as it was where there is no base."""
    found = []
    for artifact in artifacts:
        parts = [await _filled(part, fetch, base, inline_max) for part in artifact["parts"]]
        found.append({**artifact, "parts": parts})
    return found


async def _filled(
    part: dict[str, Any], fetch: Callable[[str], Awaitable[bytes]], base: str, inline_max: int
) -> dict[str, Any]:
    blob = reference(part)
    if blob is None:
        return part
    if blob["size"] <= inline_max:
        data = await fetch(blob["$blob"])
        return whole(File(name=blob["name"], data=data, media_type=blob["media_type"]))
    return {**part, "url": f"{base}/blobs/{blob['$blob']}"} if base else part
