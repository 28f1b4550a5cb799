"""Server-sent events: bytes cut anywhere in, whole events out.

Follows the event stream interpretation of the HTML standard as far as model
providers use it: `event` and `data` fields, comments, any line ending. `id` and
`retry` are ignored, since an answer that broke off is asked for again, never
resumed.
"""

from __future__ import annotations

import re

import msgspec

from agentsquad.integrations.connectors.ai.contract import ModelReplyError

SIZE_MAX = 16 * 2**20
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class ServerEvent(msgspec.Struct, frozen=True):
    """One event: its name ("message" when the server gave none) and its
    data.
    """

    name: str
    data: str


class SseParser:
    """Keeps what is incomplete between two pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False
        self._begun = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """Return the events that this piece completes.

        Raises ModelReplyError for bytes that are not UTF-8 and for a line
        without an end.
        """
        if not piece:
            return []
        if self._after_cr and piece[:1] == b"\n":
            piece = piece[1:]
        data = self._rest + piece
        self._after_cr = data.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(data)
        if len(self._rest) > SIZE_MAX:
            raise ModelReplyError("an event of the stream is longer than 16 MiB")
        events: list[ServerEvent] = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def _line(self, line: bytes) -> ServerEvent | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        try:
            field, _, value = line.decode("utf-8").partition(":")
        except UnicodeDecodeError as error:
            raise ModelReplyError("the stream is not UTF-8") from error
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        return ServerEvent(name, "\n".join(data)) if data else None
