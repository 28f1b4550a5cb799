"""Server-sent events as the proxy passes them on: bytes cut anywhere in, whole
events out, and back.

Every line ending of the HTML standard is read; comments are dropped, since
nobody acts on them. What does not decode as UTF-8 is an error of the upstream.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from agentsquad.integrations.proxy.contract import UpstreamReplyError

SIZE_MAX = 16 * 2**20
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """One event: its name, empty where the server gave none, and its data."""

    name: str
    data: str

    def dump(self) -> bytes:
        """Return the event as it is sent."""
        head = f"event: {self.name}\n" if self.name else ""
        lines = "".join(f"data: {line}\n" for line in self.data.split("\n"))
        return f"{head}{lines}\n".encode()


class Reader:
    """Keeps what is incomplete between two pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that a piece completes."""
        *lines, self._rest = _split(self._rest + piece)
        if len(self._rest) > SIZE_MAX:
            raise UpstreamReplyError("an event of the stream is longer than 16 MiB")
        events = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def end(self) -> list[Event]:
        """Return what was complete but for its last line ending."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _line(self, line: bytes) -> Event | None:
        if not line:
            name, data = self._name, self._data
            self._name, self._data = "", []
            return Event(name, "\n".join(data)) if data else None
        try:
            field, _, value = line.decode("utf-8").partition(":")
        except UnicodeDecodeError as error:
            raise UpstreamReplyError("the stream is not UTF-8") from error
        value = value.removeprefix(" ")
        if field.removeprefix("\ufeff") == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None


def _split(data: bytes) -> list[bytes]:
    """Return lines and what is left; a carriage return at the very end may be
    half of a line ending, and stays."""
    if data.endswith(b"\r"):
        *lines, rest = _LINE_END.split(data[:-1])
        return [*lines, rest + b"\r"]
    return _LINE_END.split(data)
