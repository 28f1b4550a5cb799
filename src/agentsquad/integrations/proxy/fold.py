"""Fold: the pieces of a streamed answer as one value, and back, without loss.

A streamed answer is hundreds of events that say the same but for a few letters.
Events that follow one another and differ in one text only become one entry: the
first event, where the text stands, all texts joined, and where they were cut.
Numbers that count the events up by one are counted, not kept. What fits neither
stays as it is, so that event kinds nobody here has heard of are replayed too.

Laws: unfold(fold(events)) == events, but for the spelling of their JSON and the
padding that OpenAI adds to hide lengths (`obfuscation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agentsquad.integrations.proxy.sse import Event
from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError

PADDING = "obfuscation"
Path = tuple[str | int, ...]
Difference = tuple[Path | None, list[Path]]


class Folder:
    """Takes events one by one; `entries` is what they fold into."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._last: Any = None  # the data of the last event, read

    def add(self, event: Event, data: Any) -> None:
        """Take one event; `data` is its data read as JSON, None if it is
        none."""
        entry = self.entries[-1] if self.entries else None
        if data is None:
            self._last = None
            self.entries.append({"event": event.name, "text": event.data})
            return
        if entry is not None and self._last is not None and entry["event"] == event.name:
            found = _difference(self._last, data)
            if found is not None and self._extend(entry, found, data):
                self._last = data
                return
        self._last = data
        self.entries.append({"event": event.name, "data": data})

    def _extend(self, entry: dict[str, Any], found: Difference, data: Any) -> bool:
        at, counts = found
        if at is None:
            return False
        where, counting = list(at), [list(path) for path in counts]
        if "at" not in entry:
            first = _get(entry["data"], at)
            entry |= {"at": where, "joined": first, "cuts": [len(first)]}
            if counting:
                entry["counting"] = counting
        elif entry["at"] != where or entry.get("counting", []) != counting:
            return False
        piece = _get(data, at)
        entry["joined"] += piece
        entry["cuts"].append(len(piece))
        return True


def fold(events: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries that (name, data) pairs fold into; data that is a str
    was no JSON."""
    folder = Folder()
    for name, data in events:
        text = data if isinstance(data, str) else ""
        folder.add(Event(name, text), None if isinstance(data, str) else data)
    return folder.entries


def unfold(entries: Sequence[Any]) -> list[Event]:
    """Return the events again."""
    found: list[Event] = []
    for entry in entries:
        name = entry["event"]
        if "text" in entry:
            found.append(Event(name, entry["text"]))
        elif "at" not in entry:
            found.append(Event(name, _dump(entry["data"])))
        else:
            found += [Event(name, _dump(data)) for data in _spread(entry)]
    return found


def _spread(entry: Any) -> list[Any]:
    where, joined, begin = tuple(entry["at"]), entry["joined"], 0
    found = []
    for index, size in enumerate(entry["cuts"]):
        data = _put(entry["data"], where, joined[begin : begin + size])
        for path in entry.get("counting", ()):
            data = _put(data, tuple(path), _get(entry["data"], tuple(path)) + index)
        found.append(data)
        begin += size
    return found


def read(text: str) -> Any:
    """Return the data of an event read as JSON without its padding; None if it
    is no JSON object."""
    if not text.startswith("{"):
        return None
    try:
        data = canonical.loads(text)
    except InvalidError:
        return None
    if isinstance(data, dict):
        data.pop(PADDING, None)
    return data


def _dump(data: Any) -> str:
    return canonical.dumps(data).decode()


def _difference(was: Any, now: Any) -> Difference | None:
    """Return where the one text differs and which numbers went up by one; None
    if anything else differs, and no text at all if none does."""
    texts: list[Path] = []
    counts: list[Path] = []
    if not _compare(was, now, (), texts, counts) or len(texts) > 1:
        return None
    if texts:
        return texts[0], counts
    same = _text_in(now)  # the same text twice: two equal pieces
    return (same, counts) if same is not None else None


def _compare(was: Any, now: Any, at: Path, texts: list[Path], counts: list[Path]) -> bool:
    if type(was) is not type(now):
        return False
    if isinstance(was, dict):
        return was.keys() == now.keys() and all(
            _compare(was[key], now[key], (*at, key), texts, counts) for key in was
        )
    if isinstance(was, list):
        return len(was) == len(now) and all(
            _compare(one, other, (*at, index), texts, counts)
            for index, (one, other) in enumerate(zip(was, now, strict=True))
        )
    if was == now:
        return True
    if isinstance(was, str):
        texts.append(at)
        return len(texts) == 1
    if type(was) is int and now == was + 1:
        counts.append(at)
        return True
    return False


def _text_in(data: Any) -> Path | None:
    """Return where the text of a piece usually stands."""
    for path in (("choices", 0, "delta", "content"), ("delta", "text"), ("delta",)):
        found = data
        for key in path:
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                found = None
                break
        if isinstance(found, str):
            return path
    return None


def _get(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


def _put(data: Any, path: Path, value: Any) -> Any:
    """Return the data with another value at a path; what is around it is
    shared."""
    if not path:
        return value
    key = path[0]
    if isinstance(data, dict):
        return {**data, key: _put(data[key], path[1:], value)}
    return [_put(one, path[1:], value) if i == key else one for i, one in enumerate(data)]
