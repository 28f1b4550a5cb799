"""Histories made by a simulated object, and slow judges that share no code with
the search.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from agentsquad.operations.consistency.contract import History, Operation
from agentsquad.operations.consistency.history import Recorder

INITIAL = {"register": None, "kv": ""}


class Plan:
    """What kind of history to make."""

    def __init__(
        self,
        *,
        model: str = "register",
        processes: int = 4,
        calls: int = 10,
        words: Sequence[str] = ("read", "write", "cas"),
        values: int | None = 3,
        keys: int = 1,
        lost: float = 0.1,
    ) -> None:
        self.model = model
        self.processes = processes
        self.calls = calls
        self.words = words
        self.values = values  # None: every write its own
        self.keys = keys
        self.lost = lost  # share of calls whose outcome nobody learns


def simulate(plan: Plan, chance: random.Random) -> list[dict[str, Any]]:
    """Return the events of an object that does one thing at a time.

    Each call takes effect at a moment of its own between its two events; those
    with a lost answer perhaps never, perhaps after the history ended.
    """
    state: dict[str, Any] = {}
    events: list[dict[str, Any]] = []
    free, called = list(range(plan.processes)), 0
    next_process = plan.processes
    open_calls: dict[int, dict[str, Any]] = {}
    while called < plan.calls or open_calls:
        waiting = [p for p, call in open_calls.items() if "type" not in call]
        ready = [p for p, call in open_calls.items() if "type" in call]
        moves = ["call"] * (called < plan.calls and bool(free))
        moves += ["act"] * bool(waiting) + ["return"] * bool(ready)
        move = chance.choice(moves)
        if move == "call":
            process = free.pop(chance.randrange(len(free)))
            called += 1
            call = _call(plan, chance, state, called)
            open_calls[process] = call
            shown = None if call["f"] in ("read", "get") else call["value"]
            events.append({"process": process, "type": "invoke", **call, "value": shown})
        elif move == "act":
            call = open_calls[chance.choice(waiting)]
            lost = chance.random() < plan.lost
            if lost and chance.random() < 0.5:
                call["type"] = "info"
                continue
            _act(plan, call, state)
            if lost:
                call["type"] = "info"
        else:
            process = chance.choice(ready)
            call = open_calls.pop(process)
            events.append({"process": process, **call})
            if call["type"] == "info":
                process, next_process = next_process, next_process + 1
            free.append(process)
    return events


def _call(plan: Plan, chance: random.Random, state: dict[str, Any], number: int) -> dict[str, Any]:
    f = chance.choice(list(plan.words))
    key = f"k{chance.randrange(plan.keys)}"
    fresh: Any = number if plan.values is None else chance.randrange(plan.values)
    value: Any = None
    if f == "write":
        value = fresh
    elif f == "put":
        value = f"{fresh},"
    elif f == "append":
        value = f"{fresh};" if plan.values is None else chance.choice(["a", "b", "ab", ""])
    elif f == "cas":
        now = state.get(key, INITIAL[plan.model])
        before = now if chance.random() < 0.6 else chance.randrange(plan.values or number)
        value = [before, fresh]
    return {"f": f, "key": key, "value": value}


def _act(plan: Plan, call: dict[str, Any], state: dict[str, Any]) -> None:
    key, f, value = call["key"], call["f"], call["value"]
    now = state.get(key, INITIAL[plan.model])
    call["type"] = "ok"
    if f in ("read", "get"):
        call["value"] = now
    elif f == "append":
        state[key] = now + value
    elif f != "cas":
        state[key] = value
    elif now == value[0]:
        state[key] = value[1]
    else:
        call["type"] = "fail"


def spoiled(events: Sequence[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """Return the history with what one or two reads returned changed."""
    events = [dict(event) for event in events]
    reads = [e for e in events if e["type"] == "ok" and e["f"] in ("read", "get")]
    known = [e["value"] for e in events if e["f"] != "cas" and e["value"] is not None]
    for _ in range(chance.randint(1, 2)):
        if reads and known:
            chance.choice(reads)["value"] = chance.choice(known)
    return events


def recorded(events: Sequence[dict[str, Any]], model: str) -> History:
    """Return events as the history the checker reads."""
    import json

    recorder = Recorder("history.jsonl", model)  # type: ignore[arg-type]
    for event in events:
        recorder.take(json.dumps(event).encode())
    return recorder.history()


def after(one: Operation, state: Any, model: str) -> tuple[bool, Any]:
    """Return whether an operation can happen in a state, and what it leaves."""
    if one.f in ("read", "get"):
        value = "" if model == "kv" and one.value is None else one.value
        return one.end is None or value == state, state
    if one.f == "cas":
        return one.value[0] == state, one.value[1]
    return True, state + one.value if one.f == "append" else one.value


def by_permutation(history: History) -> bool:
    """Judge a small history by trying every order, without any pruning but the
    memory of what failed.
    """
    keys = {one.key for one in history.operations}
    return all(
        _orderable([one for one in history.operations if one.key == key], history.model)
        for key in keys
    )


def _orderable(part: Sequence[Operation], model: str) -> bool:
    seen = set()

    def go(left: frozenset[int], state: Any) -> bool:
        must = [part[n].end for n in left if part[n].end is not None]
        if not must:
            return True
        if (left, state) in seen:
            return False
        seen.add((left, state))
        for n in left:
            if part[n].begin < min(must):  # nothing left returned before it began
                can, then = after(part[n], state, model)
                if can and go(left - {n}, then):
                    return True
        return False

    return go(frozenset(range(len(part))), INITIAL[model])


def explains(order: Sequence[Any], history: History, key: Any) -> bool:
    """Whether an order that was printed is one: it has every operation that
    returned, keeps the order of time, and each did what it says.
    """
    part = {one.line: one for one in history.operations if one.key == key}
    lines = [placed.line for placed in order]
    if len(set(lines)) != len(lines):
        return False
    if not {line for line, one in part.items() if one.end is not None} <= set(lines):
        return False
    state, latest_begin = INITIAL[history.model], -1
    for placed in order:
        one = part[placed.line]
        if one.end is not None and one.end < latest_begin:
            return False  # it had returned before something placed earlier began
        latest_begin = max(latest_begin, one.begin)
        can, state = after(one, state, history.model)
        if not can or placed.after != state:
            return False
    return True
