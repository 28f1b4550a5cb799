"""Every action, called by every way there is, each on its own copy of one
store.

A surface takes part by a `Way`: how it is called, and what came of it. The walk
goes through everything the gateway offers, in the order of names, so that what
one call does the next one sees on all of them alike. An action without an
outcome, or with another one than the gateway itself gives, is missing there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.surfaces.gateway.contract import Call, Caller, Gateway
from agentsquad.surfaces.gateway.operation import Operation
from agentsquad.surfaces.rest.example import example_of

# Inputs where the examples of an action's fields are of no use here: what takes
# long is told to be quick, what needs a run is given one ({paid}, {asks}).
INPUTS: dict[str, dict[str, Any]] = {
    "attest.prove": {"subject": "{paid}", "out": "case.zip"},
    "cost.show": {"by": "model"},
    "edi.ack": {"files": [{"name": "a.edi", "text": "ISA*00*"}]},
    "edi.check": {"files": [{"name": "a.edi", "text": "ISA*00*"}]},
    "edi.convert": {"file": {"name": "a.edi", "text": "ISA*00*"}},
    "edi.show": {"files": [{"name": "a.edi", "text": "ISA*00*"}]},
    "engine.run": {"seconds": 0},
    "explain.why": {"subject": "{paid}"},
    "log.prove": {"seq": 3},
    "log.show": {"limit": 2},
    "resources.apply": {
        "file": [
            {
                "name": "pool.yaml",
                "text": "apiVersion: agentsquad.dev/v1\nkind: Pool\nmetadata: {name: gpu}\n"
                "spec: {match: [models.generate], slots: 2}\n",
            }
        ]
    },
    "resources.delete": {"kind": "pool", "name": "gpu"},
    "resources.put": {"kind": "pool", "name": "cpu", "resource": {"spec": {"match": ["a.b"]}}},
    "resources.get": {"kind": "pool", "name": "gpu"},
    "resources.list": {"kind": "agents", "limit": 2},
    "runs.fork": {"run": "{paid}", "set": ["input/lines=[1]"]},
    "runs.replay": {"run": "{paid}"},
    "runs.show": {"run": "{paid}"},
    "runs.export_test": {"run": "{paid}", "out": "test_it.py"},
    "runs.cancel": {"run": "{asks}", "reason": "no more"},
    "runs.start": {"workflow": "order", "input": {"lines": [2]}, "key": "walk"},
    "schedules.run": {"seconds": 0},
    "shop.work": {"n": 3},
    "workflows.check": {"file": {"name": "a.yaml", "text": "kind: Nothing"}, "seconds": 1},
}
# Would end the process, or take as long as it is told.
NOT_WALKED = {"shop.stop": "behaves as Ctrl-C"}
REPLACED = re.compile(r"\{(paid|asks)\}")


class Way(Protocol):
    """One way to call actions."""

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Any:
        """Return the output as plain JSON, or raise the error that it was."""
        ...


class Outcome(msgspec.Struct, frozen=True):
    """What came of one call: an output, or the code of an error."""

    action: str
    value: Any = None
    error: str = ""


class Direct:
    """The gateway itself, which all ways are compared with."""

    def __init__(self, gateway: Gateway, caller: Caller) -> None:
        self._gateway = gateway
        self._caller = caller

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Any:
        call = Call(action=action, value=value, caller=self._caller, key=key)
        return (await self._gateway.call(call)).value


async def runs_of(desk: Any) -> dict[str, str]:
    """Return the run that paid and the one that asks, of a served store."""
    async with desk.client() as client:
        items = (await client.get("/v1/runs")).json()["items"]
    return {
        "paid": next(one["id"] for one in items if one["status"] == "completed"),
        "asks": next(one["id"] for one in items if one["status"] == "waiting"),
    }


def input_of(operation: Operation, runs: Mapping[str, str]) -> dict[str, Any]:
    """Return what an operation is called with."""
    value = INPUTS.get(operation.action)
    text = msgspec.json.encode(example_of(operation) if value is None else value).decode()
    found: dict[str, Any] = msgspec.json.decode(REPLACED.sub(lambda one: runs[one[1]], text))
    return found


async def walk(way: Way, operations: Iterable[Operation], runs: Mapping[str, str]) -> list[Outcome]:
    """Call everything once and return what came of it, in order."""
    found = []
    for operation in operations:
        action = operation.action
        if action in NOT_WALKED:
            continue
        key = None if operation.effect in ("pure", "read") else f"walk-{action}"
        try:
            value = await way.call(action, input_of(operation, runs), key)
        except SquadError as error:
            found.append(Outcome(action, error=error.code))
        else:
            found.append(Outcome(action, value=steady(value)))
    return found


def steady(value: Any) -> Any:
    """Return an output without what no two calls have alike: ids and secrets
    drawn by chance, digests of them, times and sizes."""
    return _steady(msgspec.json.decode(msgspec.json.encode(value)))


def _steady(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner, key) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    if isinstance(value, str):
        for pattern, word in CHANGING:
            value = pattern.sub(word, value)
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return 0 if number and name in SIZES else value


CHANGING = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"sq[a-z]_[\w-]{20,}", "SECRET"),
        (r"log/[0-9a-f]{16}|\b[0-9a-f]{16}\b|[0-9a-f]{32,}|[A-Za-z0-9+/_-]{40,}=*", "HASH"),
        (r"\b01[0-9a-z]{24}\b|\b[0-9a-f]{12}\b", "ID"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z(/\d+)?", "TIME"),
    )
)
SIZES = (
    *("ms", "delay_ms", "took_ms", "elapsed_ms", "seconds", "starts_s"),
    *("size", "out_size", "bytes"),
)
OTHER_FORM = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*\+00:?00")


def differences(found: list[Outcome], wanted: list[Outcome]) -> list[str]:
    """Return where one way says otherwise than another, in words."""
    by_name = {one.action: one for one in found}
    return [
        f"{one.action}: {_short(by_name.get(one.action))} is not {_short(one)}"
        for one in wanted
        if by_name.get(one.action) != one
    ]


def told_otherwise(found: Iterable[Outcome]) -> list[str]:
    """Return the actions that tell a time in another form than `…Z`."""
    text = ((one.action, msgspec.json.encode(one.value).decode()) for one in found)
    return [action for action, value in text if OTHER_FORM.search(value)]


def _short(one: Outcome | None) -> str:
    return "nothing" if one is None else (one.error or repr(one.value))[:400]
