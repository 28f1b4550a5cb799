"""What the verdict says: the order, the reason, or the bound that was
reached.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from agentsquad.operations.consistency.contract import ModelName
from agentsquad.operations.consistency.history import read
from agentsquad.operations.consistency.verdict import Bounds, Verdict, judge


class Ticking:
    """A clock that goes on by one millisecond whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def events(text: str) -> list[dict[str, Any]]:
    """Read `0+write:1` (invoke), `0=` (ok, perhaps `0=:VALUE`), `0!` (fail) and
    `0?` (info).
    """
    made, f = [], {}
    for word in text.split():
        process, mark = int(word[0]), word[1]
        if mark == "+":
            name, _, value = word[2:].partition(":")
            name, _, key = name.partition("@")
            f[process] = {"f": name, **({"key": key} if key else {})}
            made.append({"process": process, "type": "invoke", **f[process],
                         "value": json.loads(value or "null")})  # fmt: skip
        else:
            end = {"process": process, "type": {"=": "ok", "!": "fail", "?": "info"}[mark]}
            if word[3:]:
                end["value"] = json.loads(word[3:])
            made.append({**f[process], **end})
    return made


def judged(text: str, model: ModelName = "register", steps: int = 0) -> Verdict:
    lines = [json.dumps(event).encode() for event in events(text)]
    return judge(read("h.jsonl", model, lines), Bounds(lambda: 0.0, 1.0, steps))


def test_a_register_begins_as_null() -> None:
    assert judged("0+read 0=:null").linearizable is True
    assert judged("0+read 0=:0").linearizable is False
    assert judged("0+cas:[null,4] 0= 1+read 1=:4").linearizable is True


def test_a_key_that_was_never_put_reads_as_nothing() -> None:
    for nothing in ('""', "null"):
        assert judged(f"0+get@a 0=:{nothing}", "kv").linearizable is True
    assert judged('0+append@a:"x" 0= 1+get@a 1=:"x" 1+get@b 1=:""', "kv").linearizable is True


def test_a_read_after_a_write_returned_sees_it() -> None:
    found = judged("0+write:1 0= 0+write:2 0= 1+read 1=:1")
    assert found.linearizable is False
    why = found.explanation
    assert why is not None and why.exact and why.possible_all
    assert why.because == ("process 1 read 1 (lines 5 to 6), but by then the value could only be 2")
    assert (why.placed, why.possible, why.concurrent) == (2, [2], [])
    assert [placed.after for placed in why.before] == [1, 2]


def test_a_value_out_of_nowhere_is_called_so() -> None:
    why = judged("0+write:0 0= 2+write:4 1+read 1=:3 2=").explanation
    assert why is not None
    assert sorted(why.possible) == [0, 4]
    assert why.because.endswith("could only be 0 or 4: nothing had written 3")
    assert [one.value for one in why.concurrent] == [4]


def test_a_cas_that_cannot_have_found_its_value_is_named() -> None:
    why = judged("0+write:1 0= 0+cas:[2,3] 0=").explanation
    assert why is not None
    assert why.because.startswith("process 0 changed 2 to 3 (lines 3 to 4), but by then the value")
    assert why.possible == [1]


def test_a_change_that_has_its_value_but_no_room_is_said_to_have_none() -> None:
    """Two took the same lock at once: one could have, not both."""
    both = '0+cas:[null,"held"] 1+cas:[null,"held"] 0= 1='
    why = judged(both).explanation
    assert why is not None
    assert sorted(why.possible, key=str) == [None, "held"]
    assert why.because.endswith(
        'the value could be "held" or null, but what returned by then leaves no room for the change'
    )
    assert judged(both.replace("1=", "1!")).linearizable is True


def test_of_a_cas_that_is_said_to_have_failed_nothing_follows() -> None:
    """`fail` says only that it had no effect."""
    assert judged("0+write:1 0= 0+cas:[1,3] 0! 0+read 0=:1").linearizable is True
    assert judged("0+write:1 0= 0+cas:[1,3] 0! 0+read 0=:3").linearizable is False


def test_what_is_unknown_may_happen_late_once_or_never() -> None:
    late = "0+write:1 0? 1+read 1=:null 1+read 1=:1"
    assert judged(late).linearizable is True
    assert judged("0+write:1 0? 1+read 1=:null").linearizable is True
    assert judged("0+write:1 0? 1+write:2 1= 1+read 1=:2 1+read 1=:1").linearizable is True
    twice = "0+write:1 0? 1+read 1=:1 1+write:2 1= 1+read 1=:1"
    assert judged(twice).linearizable is False
    assert judged(f"9+write:1 9? {twice}").linearizable is True  # two of them: once each


def test_an_unknown_write_does_not_happen_before_it_was_called() -> None:
    assert judged("1+read 1=:1 0+write:1 0?").linearizable is False


def test_keys_are_apart_and_the_wrong_one_is_named() -> None:
    good = "0+write@a:1 0= 1+write@b:2 1= 0+read@a 0=:1 1+read@b 1=:2"
    found = judged(good)
    assert found.linearizable is True
    assert [(order.key, len(order.operations)) for order in found.orders] == [("a", 2), ("b", 2)]
    bad = judged(good.replace("1=:2", "1=:1"))
    assert bad.explanation is not None and bad.explanation.key == "b"


def test_one_and_one_point_nought_are_the_same_value_and_true_is_not() -> None:
    assert judged("0+write:1 0= 0+read 0=:1.0").linearizable is True
    assert judged("0+write:1 0= 0+read 0=:true").linearizable is False
    assert judged('0+write:{"a":1,"b":[]} 0= 0+read 0=:{"b":[],"a":1}').linearizable is True
    big = 2**53
    assert judged(f"0+write:{big} 0= 0+read 0=:{big + 1}").linearizable is False


HARD = " ".join(
    [f"{n}+write:{n}" for n in range(9)]
    + ["9+read 9=:3 9+read 9=:4 9+read 9=:5 9+read 9=:6 9+read 9=:3"]
)


def test_a_bound_on_steps_gives_no_verdict_and_says_so() -> None:
    found = judged(HARD, steps=2)
    assert (found.linearizable, found.bound, found.undecided) == (None, "2 steps", [None])
    assert found.steps == 2
    assert msgspec.to_builtins(found.witness(9)) == {"undecided": [None]}
    assert judged(HARD).linearizable is False


def test_a_bound_on_time_gives_no_verdict_and_says_so() -> None:
    lines = [json.dumps(event).encode() for event in events(HARD)]
    found = judge(read("h.jsonl", "register", lines), Bounds(Ticking(), 1.0))
    assert (found.linearizable, found.bound) == (None, "1 ms")


def test_one_key_nobody_can_decide_does_not_hide_another_that_is_wrong() -> None:
    hard = HARD.replace("write", "write@a").replace("read", "read@a")
    found = judged(f"{hard} 9+read@b 9=:7", steps=400)
    assert found.linearizable is False
    assert found.explanation is not None


def test_long_orders_are_cut_and_counted() -> None:
    text = " ".join(f"0+write:{n} 0=" for n in range(30))
    witness = judged(text).witness(10)
    assert (witness.shown, witness.placed) == (10, 30)
    assert len(witness.orders[0].operations) == 10


def test_twenty_thousand_operations_need_no_deep_stack() -> None:
    found = judged(" ".join(f"{n % 3}+write:{n % 5} {n % 3}=" for n in range(20_000)))
    assert found.linearizable is True
    assert found.steps <= 20_001


def test_many_callers_at_once_on_one_register_are_no_burden() -> None:
    """Three hundred writes under way, each read once while they are."""
    writes = " ".join(
        f'{{"process":{n},"type":"invoke","f":"write","value":{n}}}' for n in range(300)
    )
    lines = writes.split(" ")
    for n in range(300):
        lines.append(f'{{"process":"r{n}","type":"invoke","f":"read"}}')
    for n in range(300):
        lines.append(f'{{"process":"r{n}","type":"ok","f":"read","value":{299 - n}}}')
        lines.append(f'{{"process":{n},"type":"ok","f":"write"}}')
    history = read("h.jsonl", "register", [line.encode() for line in lines])
    found = judge(history, Bounds(lambda: 0.0, 1.0, steps=5_000))
    assert found.linearizable is True
