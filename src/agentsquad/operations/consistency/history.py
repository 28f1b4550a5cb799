"""History: a file of events, one a line, read into operations.

A line says that a process invoked an operation or how it ended. Order is the
order of the lines; `time` is only checked, never needed. What cannot have been
recorded by anybody (an end without a beginning, two things at once by one
process) is refused with its place, since every verdict on it would be wrong.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.spelling import closest
from agentsquad.operations.consistency.contract import (
    History,
    HistoryEmptyError,
    HistoryEventError,
    HistoryJsonError,
    HistoryModelError,
    HistoryOrderError,
    ModelName,
    Operation,
    Scalar,
)

WORDS: dict[ModelName, tuple[str, ...]] = {
    "register": ("read", "write", "cas"),
    "kv": ("get", "put", "append"),
}
ALL_WORDS = WORDS["register"] + WORDS["kv"]
TYPES = ("invoke", "ok", "fail", "info")
READS = ("read", "get")
ABSENT = msgspec.UNSET


class _Line(msgspec.Struct, frozen=True):
    process: int | str
    type: str
    f: str | None = None
    key: int | str | None = None
    value: Any = ABSENT
    time: int | float | None = None


class _Call(msgspec.Struct, frozen=True):
    event: _Line
    at: int
    number: int


_DECODER = msgspec.json.Decoder(_Line)
_EXAMPLE = '{"process": 0, "type": "invoke", "f": "write", "value": 3, "time": 17}'


class Recorder:
    """Takes the lines of one file in order and gives the history they make."""

    def __init__(self, path: str, model: ModelName) -> None:
        self._path = path
        self._model = model
        self._open: dict[Scalar, _Call] = {}
        self._done: list[Operation] = []
        self._time: int | float | None = None
        self._number = 0
        self._events = 0
        self._failed = 0

    def take(self, line: bytes) -> None:
        """Add a line; empty ones are passed over."""
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            return
        event = self._decode(line)
        self._check(event)
        if event.type == "invoke":
            self._begin(event)
        else:
            self._finish(event)
        self._events += 1

    def history(self) -> History:
        """Return the history; what never ended may still take effect."""
        if not self._events:
            raise HistoryEmptyError(
                f"{self._path}: expected one event a line, found none", hint=f"e.g. {_EXAMPLE}"
            )
        for call in self._open.values():
            self._done.append(self._operation(call, None))
        self._open = {}
        self._done.sort(key=lambda one: one.begin)
        self._check_texts()
        return History(
            model=self._model,
            operations=self._done,
            events=self._events,
            failed=self._failed,
        )

    def _decode(self, line: bytes) -> _Line:
        try:
            return _DECODER.decode(line)
        except msgspec.ValidationError as error:
            raise self._wrong(
                HistoryEventError, f"expected an event of an operation: {error}", f"e.g. {_EXAMPLE}"
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._wrong(
                HistoryJsonError, f"expected one JSON object a line: {error}", f"e.g. {_EXAMPLE}"
            ) from error

    def _check(self, event: _Line) -> None:
        if event.type not in TYPES:
            raise self._wrong(
                HistoryEventError,
                f"unknown type {event.type!r}, expected {_choice(TYPES)}",
                _meant(event.type, TYPES),
            )
        if event.f is not None and event.f not in ALL_WORDS:
            raise self._wrong(
                HistoryEventError,
                f"unknown f {event.f!r}, expected {_choice(WORDS[self._model])}",
                _meant(event.f, WORDS[self._model]),
            )
        if event.f is not None and event.f not in WORDS[self._model]:
            other = "kv" if self._model == "register" else "register"
            raise self._wrong(
                HistoryModelError,
                f"{event.f!r} is no operation of the model {self._model}, "
                f"which has {_choice(WORDS[self._model])}",
                f"check it with --model {other}, and do not mix the two in one file",
            )
        if event.time is not None:
            if self._time is not None and event.time < self._time:
                raise self._wrong(
                    HistoryOrderError,
                    f"time goes backwards, from {self._time} to {event.time}",
                    "sort the lines by the time at which they happened",
                )
            self._time = event.time

    def _begin(self, event: _Line) -> None:
        process = event.process
        if process in self._open:
            raise self._wrong(
                HistoryOrderError,
                f"process {process} invokes {event.f!r} while its operation of line "
                f"{self._open[process].number} has not ended",
                "a process does one thing at a time: give each caller a process of its own",
            )
        if event.f is None:
            raise self._wrong(
                HistoryEventError, "expected f: what is invoked", _choice(WORDS[self._model])
            )
        if event.f not in READS:
            self._check_value(event)
        self._open[process] = _Call(event, self._events, self._number)

    def _check_value(self, event: _Line) -> None:
        value = event.value
        if event.f == "cas" and not (isinstance(value, list) and len(value) == 2):
            raise self._wrong(
                HistoryEventError,
                f"the value of a cas is a pair [from, to], not {_shown(value)}",
                'e.g. {"process": 0, "type": "invoke", "f": "cas", "value": [1, 2]}',
            )
        if event.f == "append" and not isinstance(value, str):
            raise self._wrong(
                HistoryEventError, f"append adds a text, not {_shown(value)}", "give it as a string"
            )
        if value is ABSENT:
            raise self._wrong(
                HistoryEventError, f"expected the value that {event.f!r} sets", "add 'value'"
            )

    def _finish(self, event: _Line) -> None:
        call = self._open.pop(event.process, None)
        if call is None:
            raise self._wrong(
                HistoryOrderError,
                f"process {event.process} ends an operation ({event.type!r}) "
                "but has not invoked one",
                "each ok, fail and info follows an invoke of the same process",
            )
        self._check_same(call, event)
        if event.type == "fail":
            self._failed += 1
        elif event.type == "info":
            self._done.append(self._operation(call, None))
        else:
            self._done.append(self._operation(call, event))

    def _check_same(self, call: _Call, event: _Line) -> None:
        asked = call.event
        if event.f not in (None, asked.f) or event.key not in (None, asked.key):
            raise self._wrong(
                HistoryOrderError,
                f"process {event.process} ends {_named(event)}, but what it invoked in line "
                f"{call.number} is {_named(asked)}",
                "an end names the operation it ends",
            )
        if event.type != "ok":
            return
        if asked.f in READS:
            if event.value is ABSENT:
                raise self._wrong(
                    HistoryEventError,
                    f"an ok {asked.f} carries the value it returned",
                    "add 'value', null where there was none",
                )
        elif event.value not in (ABSENT, None, asked.value):
            raise self._wrong(
                HistoryOrderError,
                f"process {event.process} ends {asked.f!r} with {_shown(event.value)}, but the "
                f"value it gave in line {call.number} is {_shown(asked.value)}",
                "an ok repeats the value of its invoke, or leaves it out",
            )

    def _operation(self, call: _Call, end: _Line | None) -> Operation:
        event = call.event
        assert event.f is not None
        value = event.value
        if event.f in READS:
            value = end.value if end is not None else None
        return Operation(
            process=event.process,
            f=event.f,
            key=event.key,
            value=value,
            begin=call.at,
            end=None if end is None else self._events,
            line=call.number,
            line_end=0 if end is None else self._number,
        )

    def _check_texts(self) -> None:
        """Refuse values that are no texts on keys that texts are appended
        to."""
        grown = {one.key for one in self._done if one.f == "append"}
        for one in self._done:
            if one.key in grown and one.value is not None and not isinstance(one.value, str):
                raise HistoryModelError(
                    f"{self._path}:{one.line}: a key with append holds texts, not "
                    f"{_shown(one.value)}",
                    hint="give the values of put and get on this key as strings",
                )

    def _wrong(self, error: type[InvalidError], text: str, hint: str | None) -> InvalidError:
        details = {"file": self._path, "line": self._number}
        return error(f"{self._path}:{self._number}: {text}", hint=hint, details=details)


def read(path: str, model: ModelName, lines: Iterable[bytes]) -> History:
    """Return the history that the lines of a file make."""
    recorder = Recorder(path, model)
    for line in lines:
        recorder.take(line)
    return recorder.history()


def _choice(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _meant(word: str, words: tuple[str, ...]) -> str | None:
    found = closest(word, words)
    return f"did you mean {found!r}?" if found else None


def _named(event: _Line) -> str:
    return f"{event.f!r}" + ("" if event.key is None else f" on key {event.key!r}")


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"
