"""A history: the recorded events of one run family as one JSON document.

What replay needs and nothing else: no salts, no hashes, no other run. It is
read back as a store that can only be read, so that replay treats a history and
a log alike.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError, MissingError, UnsupportedError
from agentsquad.kernel.event import Event
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.kernel.pointer import walk
from agentsquad.runtime.engine.versions import Code

FORMAT = "agentsquad.dev/history/v1"


class HistoryInvalidError(InvalidError):
    """This is not a history, or one of a format this version does not read."""

    code = "history.invalid"


class History(msgspec.Struct, kw_only=True):
    """One run and every run below it, as recorded.

    `personal` says what became of personal values: none (there were none),
    stand-ins or included. `blobs` maps digests to the bytes that pure steps
    read. `verdict` is what replay said when it was written, `code` the deployed
    versions that these runs ran under, by digest.
    """

    run: str
    workflow: str
    version: str
    at: str
    verdict: str
    personal: str
    events: dict[str, list[Event]]
    blobs: dict[str, bytes]
    code: dict[str, Code] = {}

    @property
    def count(self) -> int:
        """The number of events."""
        return sum(len(events) for events in self.events.values())


def dump(history: History) -> str:
    """Return a history as JSON with one event a line."""
    head = {
        "format": FORMAT,
        "run": history.run,
        "workflow": history.workflow,
        "version": history.version,
        "at": history.at,
        "verdict": history.verdict,
        "personal": history.personal,
    }
    lines = [f'"{name}": {_json(value)},' for name, value in head.items()]
    lines += ['"events": {']
    last = len(history.events) - 1
    for index, (run, events) in enumerate(history.events.items()):
        lines.append(f'"{run}": [')
        lines += _listed([_json(_line(event)) for event in events])
        lines.append("]" if index == last else "],")
    lines += ["},", '"blobs": {']
    lines += _listed([f'"{name}": {_json(_packed(data))}' for name, data in history.blobs.items()])
    if history.code:
        lines += ["},", '"code": {']
        lines += _listed([f'"{name}": {_json(_kept(one))}' for name, one in history.code.items()])
    return "{\n" + "\n".join(lines) + "\n}}\n"


def load(text: str | bytes) -> History:
    """Read a history; HistoryInvalidError says what is wrong with it."""
    try:
        body = canonical.loads(text)
        if body["format"] != FORMAT:
            raise UnsupportedError(
                f"the history has format {body['format']!r}",
                code="history.format",
                hint=f"this version reads {FORMAT}",
            )
        events = {
            run: [_event(run, line) for line in lines] for run, lines in body["events"].items()
        }
        history = History(
            run=body["run"],
            workflow=body["workflow"],
            version=body["version"],
            at=body["at"],
            verdict=body["verdict"],
            personal=body["personal"],
            events=events,
            blobs=dict(_unpacked(body["blobs"])),
            code={name: _code(one) for name, one in body.get("code", {}).items()},
        )
    except (KeyError, TypeError, AttributeError, InvalidError) as error:
        raise HistoryInvalidError(
            f"this is not a history: {error}", hint="squad export-test RUN writes one"
        ) from error
    if not history.events.get(history.run):
        raise HistoryInvalidError(f"the history holds no event of its own run {history.run!r}")
    return history


class HistoryStore:
    """An EventStore that holds one history and takes nothing."""

    def __init__(self, history: History) -> None:
        self._streams = {f"run/{run}": events for run, events in history.events.items()}

    async def append(self, events: Sequence[Any], *, expect: Any = None) -> NoReturn:
        """Refuse."""
        raise UnsupportedError("a history is only read", code="history.read_only")

    async def read_stream(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Return events of one stream."""
        events = [e for e in self._streams.get(stream, []) if e.stream_seq > after]
        return events if limit is None else events[:limit]

    async def read(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] | None = None
    ) -> list[Event]:
        """Return events in order."""
        wanted = None if types is None else set(types)
        every = sorted((e for part in self._streams.values() for e in part), key=lambda e: e.seq)
        kept = [e for e in every if e.seq > after and (wanted is None or e.type in wanted)]
        return kept[:limit]

    async def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        """Return the streams whose name starts with a prefix."""
        return [
            (name, events[-1].stream_seq)
            for name, events in self._streams.items()
            if name.startswith(prefix) and events
        ]

    async def size(self) -> int:
        """Return the number of the last event."""
        return max((part[-1].seq for part in self._streams.values() if part), default=0)


class HistoryBlobs:
    """A BlobStore that holds the blobs of one history and takes nothing."""

    def __init__(self, history: History) -> None:
        self._blobs = history.blobs

    async def put(self, data: bytes, media_type: str = "application/octet-stream") -> Any:
        """Refuse what is not there already."""
        name = digest_bytes(data)
        if name not in self._blobs:
            raise UnsupportedError("a history is only read", code="history.read_only")
        return {"$blob": name, "size": len(data), "media_type": media_type}

    async def get(self, digest: str) -> bytes:
        """Return the bytes."""
        try:
            return self._blobs[digest]
        except KeyError:
            raise MissingError(
                f"there is no blob {digest!r} in the history", code="ledger.blob_missing"
            ) from None

    async def digests(self) -> list[str]:
        """Return the digests of all blobs."""
        return sorted(self._blobs)

    async def delete(self, digest: str) -> None:
        """Refuse."""
        raise UnsupportedError("a history is only read", code="history.read_only")


def blobs_read(events: Mapping[str, Sequence[Event]]) -> set[str]:
    """Return the digests of the blobs that pure steps took as input."""
    found = set()
    for part in events.values():
        for event in part:
            body = event.payload or {}
            if event.type.startswith("step.") and body.get("effect") == "pure":
                found |= {
                    leaf
                    for pointer, leaf in walk(body.get("input"))
                    if pointer.endswith("/$blob") and isinstance(leaf, str)
                }
    return found


def _line(event: Event) -> dict[str, Any]:
    line = {
        "seq": event.seq,
        "n": event.stream_seq,
        "type": event.type,
        "version": event.version,
        "at": event.at,
        "actor": event.actor,
        "cause": event.cause,
        "correlation": event.correlation,
        "payload": event.payload,
    }
    if event.version == 1:
        del line["version"]
    return line


def _event(run: str, line: Mapping[str, Any]) -> Event:
    return Event(
        seq=line["seq"],
        stream=f"run/{run}",
        stream_seq=line["n"],
        type=line["type"],
        version=line.get("version", 1),
        at=line["at"],
        actor=line["actor"],
        cause=line["cause"],
        correlation=line["correlation"],
        payload_digest="",
        prev=None,
        payload=line["payload"],
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _listed(items: Sequence[str]) -> list[str]:
    return [f"  {item}," for item in items[:-1]] + [f"  {item}" for item in items[-1:]]


def _packed(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _kept(code: Code) -> dict[str, Any]:
    files = {path: _packed(data) for path, data in code.files.items()}
    return {"name": code.name, "entry": code.entry, "files": files}


def _code(body: Mapping[str, Any]) -> Code:
    files = {path: _bytes(one) for path, one in body["files"].items()}
    return Code(name=body["name"], entry=body["entry"], files=files)


def _bytes(body: Mapping[str, str]) -> bytes:
    text = body.get("text")
    return base64.b64decode(body["base64"]) if text is None else text.encode()


def _unpacked(blobs: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, bytes]]:
    for name, body in blobs.items():
        data = _bytes(body)
        if digest_bytes(data) != name:
            raise HistoryInvalidError(f"blob {name} of the history holds other bytes")
        yield name, data
