"""Consistency: whether a history is linearizable, and where it stops to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import counted, took
from agentsquad.surfaces.cli.layout import Column, Page

VALUE_MAX = 40
WORDS = {True: "yes, linearizable", False: "no, not linearizable", None: "not known"}


def checked(plain: Any, page: Page) -> None:
    """Say the verdict first, then the order or the operation that shows it."""
    answer = plain["linearizable"]
    page.line(f"{WORDS[answer]}: {_counted(plain)}, {took(plain['elapsed_ms'])}")
    witness = plain["witness"]
    if answer is None:
        keys = ", ".join(map(_value, witness.get("undecided", ())))
        page.line(f"gave up after {plain['bound'] or 'its bound'}; not known: {_key(keys)}")
        page.line("give it longer with --timeout-ms, or check a shorter history", "dim")
    for order in witness.get("orders", ()):
        page.title(f"one order{_of(order['key'])}")
        _placed(order["operations"], page)
    if witness.get("failure"):
        _explained(witness["failure"], page)


def _explained(failure: Mapping[str, Any], page: Page) -> None:
    page.title("why")
    page.line(failure["because"])
    page.line(
        f"the {counted(failure['placed'], 'operation')}{_of(failure['key'])} that returned "
        "before it can be put in order",
        "dim",
    )
    if not failure["exact"]:
        page.line("time ran out: an earlier operation may be the first that cannot", "dim")
    if failure["before"]:
        page.title("the end of one order without it")
        _placed(failure["before"], page)
    if failure["concurrent"]:
        page.title("going on at the same time")
        page.table(
            [
                Column("lines", keep=True),
                Column("process", keep=True),
                Column("operation"),
            ],
            [
                [
                    f"{one['line']} to {one['line_end'] or '?'}",
                    str(one["process"]),
                    _did(one),
                ]
                for one in failure["concurrent"]
            ],
        )


def _placed(operations: Sequence[Mapping[str, Any]], page: Page) -> None:
    page.table(
        [
            Column("line", right=True),
            Column("process", keep=True),
            Column("operation"),
            Column("value after it"),
        ],
        [
            [str(one["line"]), str(one["process"]), _did(one), _value(one["after"])]
            for one in operations
        ],
    )


def _did(one: Mapping[str, Any]) -> str:
    if one["f"] == "cas":
        return f"cas {_value(one['value'][0])} → {_value(one['value'][1])}"
    if one["f"] in ("read", "get") and not one.get("line_end", 1):
        return f"{one['f']} …"
    return f"{one['f']} {_value(one['value'])}"


def _value(value: Any) -> str:
    import msgspec

    text = msgspec.json.encode(value).decode()
    half = VALUE_MAX // 2
    return text if len(text) <= VALUE_MAX else f"{text[:half]}…{text[-half:]}"


def _of(key: Any) -> str:
    return "" if key is None else f" on key {_value(key)}"


def _key(keys: str) -> str:
    return "the register" if keys in ("null", "") else f"key {keys}"


def _counted(plain: Mapping[str, Any]) -> str:
    parts = [counted(plain["operations"], "operation")]
    if plain["keys"] > 1:
        parts.append(counted(plain["keys"], "key"))
    if plain["unknown"]:
        parts.append(f"{plain['unknown']} of unknown outcome")
    parts.append(counted(plain["steps"], "step"))
    return ", ".join(parts)


VIEWS = {"consistency.check": checked}
