"""A file that cannot be the record of anything is refused, with its place and
a way to mend it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentsquad.kernel.errors import InvalidError
from agentsquad.operations.consistency.contract import (
    History,
    HistoryEmptyError,
    HistoryEventError,
    HistoryJsonError,
    HistoryModelError,
    HistoryOrderError,
    ModelName,
)
from agentsquad.operations.consistency.history import read


def event(process: int | str, type: str, f: str = "write", value: Any = 1, **rest: Any) -> str:
    return json.dumps({"process": process, "type": type, "f": f, "value": value, **rest})


def parsed(*lines: str, model: ModelName = "register") -> History:
    return read("h.jsonl", model, [f"{line}\n".encode() for line in lines])


BEGUN = event(0, "invoke")
REFUSED: list[tuple[str, ModelName, tuple[str, ...], type[InvalidError], str]] = [
    ("not JSON", "register", ("{process: 0}",), HistoryJsonError, "h.jsonl:1: expected one JSON"),
    ("cut off", "register", (BEGUN, '{"process": 0, "ty'), HistoryJsonError, "h.jsonl:2: "),
    ("not UTF-8", "register", (), HistoryJsonError, ""),
    ("a list", "register", ("[1, 2]",), HistoryEventError, "expected an event"),
    ("no process", "register", ('{"type": "ok", "f": "read"}',), HistoryEventError, "`process`"),
    ("unknown type", "register", (event(0, "invok"),), HistoryEventError, "unknown type 'invok'"),
    ("unknown f", "register", (event(0, "invoke", "wirte"),), HistoryEventError,
     "unknown f 'wirte', expected read, write or cas"),
    ("no f", "register", ('{"process": 0, "type": "invoke"}',), HistoryEventError, "expected f"),
    ("no value", "register", ('{"process": 0, "type": "invoke", "f": "write"}',),
     HistoryEventError, "expected the value that 'write' sets"),
    ("no pair", "register", (event(0, "invoke", "cas", [1, 2, 3]),), HistoryEventError,
     "the value of a cas is a pair [from, to], not [1,2,3]"),
    ("append no text", "kv", (event(0, "invoke", "append", 7),), HistoryEventError,
     "append adds a text, not 7"),
    ("a read without value", "register",
     (event(0, "invoke", "read", None), '{"process": 0, "type": "ok", "f": "read"}'),
     HistoryEventError, "h.jsonl:2: an ok read carries the value it returned"),
    ("ok without invoke", "register", (event(3, "ok"),), HistoryOrderError,
     "process 3 ends an operation ('ok') but has not invoked one"),
    ("ended twice", "register", (BEGUN, event(0, "ok"), event(0, "fail")), HistoryOrderError,
     "h.jsonl:3: process 0 ends"),
    ("two at once", "register", (BEGUN, event(0, "invoke", "read")), HistoryOrderError,
     "process 0 invokes 'read' while its operation of line 1 has not ended"),
    ("time backwards", "register", (event(0, "invoke", time=9), event(1, "invoke", time=8.5)),
     HistoryOrderError, "h.jsonl:2: time goes backwards, from 9 to 8.5"),
    ("another end", "register", (BEGUN, event(0, "ok", "read")), HistoryOrderError,
     "process 0 ends 'read', but what it invoked in line 1 is 'write'"),
    ("another key", "register", (event(0, "invoke", key="a"), event(0, "ok", key="b")),
     HistoryOrderError, "ends 'write' on key 'b'"),
    ("another value", "register", (BEGUN, event(0, "ok", value=2)), HistoryOrderError,
     "ends 'write' with 2, but the value it gave in line 1 is 1"),
    ("of the other model", "register", (event(0, "invoke", "put"),), HistoryModelError,
     "'put' is no operation of the model register, which has read, write or cas"),
    ("mixed", "kv", (event(0, "invoke", "put", "x"), event(1, "invoke", "cas", [1, 2])),
     HistoryModelError, "h.jsonl:2: 'cas' is no operation of the model kv"),
    ("grows a number", "kv",
     (event(0, "invoke", "put", 5, key="k"), event(1, "invoke", "append", "x", key="k")),
     HistoryModelError, "h.jsonl:1: a key with append holds texts, not 5"),
    ("empty", "register", ("", "  "), HistoryEmptyError, "h.jsonl: expected one event a line"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "lines", "error", "words"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_what_nobody_can_have_recorded_is_refused(
    model: ModelName, lines: tuple[str, ...], error: type[InvalidError], words: str
) -> None:
    with pytest.raises(error) as caught:
        if lines:
            parsed(*lines, model=model)
        else:
            read("h.jsonl", model, [b'{"process": "\xff"}'])
    assert words in caught.value.message
    assert caught.value.hint
    assert caught.value.code.startswith("consistency.")


def test_a_slip_of_the_pen_is_answered_with_the_word_that_was_meant() -> None:
    with pytest.raises(HistoryEventError) as caught:
        parsed(event(0, "invoke", "wirte"))
    assert caught.value.hint == "did you mean 'write'?"
    assert caught.value.details == {"file": "h.jsonl", "line": 1}


def test_what_failed_is_only_counted_and_what_never_ended_is_open() -> None:
    history = parsed(
        event(0, "invoke", value=1),
        event(1, "invoke", "cas", [1, 2]),
        "",
        event(1, "fail", "cas", None),
        event(2, "invoke", "read", None),
        event(2, "info", "read", "timed out"),
        event("p", "invoke", "read", None),
        event("p", "ok", "read", None),
    )
    assert (history.events, history.failed, history.unknown) == (7, 1, 2)
    assert [(o.process, o.f, o.begin, o.end, o.line, o.line_end) for o in history.operations] == [
        (0, "write", 0, None, 1, 0),
        (2, "read", 3, None, 5, 0),
        ("p", "read", 5, 6, 7, 8),
    ]


def test_ends_may_leave_out_what_their_beginning_said() -> None:
    history = parsed(
        '{"process": 0, "type": "invoke", "f": "cas", "key": "a", "value": [null, 1]}',
        '{"process": 0, "type": "ok"}',
    )
    assert history.operations[0].value == [None, 1]


def test_a_byte_order_mark_and_line_ends_of_other_systems_do_no_harm() -> None:
    lines = [f"{line}\r\n".encode() for line in (BEGUN, event(0, "ok"))]
    lines[0] = b"\xef\xbb\xbf" + lines[0]
    assert len(read("h.jsonl", "register", lines).operations) == 1


def test_a_process_may_go_on_after_an_operation_nobody_knows_the_end_of() -> None:
    said = parsed(BEGUN, event(0, "info"), event(0, "invoke", "read", None), event(0, "ok", "read"))
    assert [(one.f, one.end) for one in said.operations] == [("write", None), ("read", 3)]
