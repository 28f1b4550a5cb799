"""Messages as plain JSON and back."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from google.protobuf import json_format

from agentsquad.kernel.event import Event
from agentsquad.surfaces.gateway.contract import File
from agentsquad.surfaces.gateway.operation import Field

EXACT = 2.0**53  # beyond it a double no longer tells whole numbers apart


def plain(message: Any) -> dict[str, Any]:
    """Return a message as plain JSON; whole numbers stay whole."""
    found = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return {name: _whole(value) for name, value in found.items()}


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return value


def fill(message: Any, value: Any) -> Any:
    """Return a message filled from plain JSON; what it has no field for is
    left out."""
    return json_format.ParseDict(value, message, ignore_unknown_fields=True)


def wanted(found: Mapping[str, Any], fields: Iterable[Field]) -> dict[str, Any]:
    """Return an input as the gateway takes it: content in its own form."""
    value = dict(found)
    for field in fields:
        given = value.get(field.name)
        if field.file in ("in", "json") and isinstance(given, dict):
            value[field.name] = _content(given, field.file, many=field.kind == "list")
    return value


def _content(given: Mapping[str, Any], way: str, *, many: bool) -> Any:
    if "folder" in given:
        return {"folder": [_file(one) for one in given["folder"]]}
    if "files" in given:
        files = [_file(one) for one in given["files"]]
        return files if many or len(files) != 1 else files[0]
    if way == "json":
        return {"json": given.get("json")}
    return given.get("json")


def _file(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": given.get("name", "file")}
    if "blob" in given:
        return {**found, "$blob": given["blob"]}
    if "data" in given:
        return {**found, "base64": given["data"]}
    return {**found, "text": given.get("text", "")}


def made(file: File) -> dict[str, Any]:
    """Return a file that an action wrote."""
    return {
        "name": file.name,
        "data": base64.b64encode(file.data).decode(),
        "media_type": file.media_type,
    }


def event_of(kind: Any, event: Event) -> Any:
    """Return an event as its message."""
    found = kind(
        seq=event.seq,
        stream=event.stream,
        stream_seq=event.stream_seq,
        type=event.type,
        version=event.version,
        at=event.at,
        actor=event.actor,
        payload_digest=event.payload_digest,
        payload_json=msgspec.json.encode(event.payload).decode(),
    )
    if event.cause is not None:
        found.cause = event.cause
    if event.correlation is not None:
        found.correlation = event.correlation
    return found
