"""Every action there is, as a tool: the same outcome and the same events as by
the gateway itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.surfaces import every_surface as walk
from tests.surfaces.mcp.conftest import House, ask, modern, stamped

from agentsquad.kernel.errors import restore
from agentsquad.surfaces.gateway.contract import Caller
from agentsquad.trust.identity.contract import Shown

pytestmark = pytest.mark.slow
TIMED = ("edi.ack", "runs.export_test")
YES = {"confirm": {"action": "accept", "content": {"confirm": True}}}


def outcome(result: Mapping[str, Any]) -> Any:
    """Return what a tool's result holds, or raise the error it tells."""
    import json

    if result["isError"]:
        raise restore(result["_meta"]["agentsquad.dev/error"])
    text = json.loads(result["content"][0]["text"])
    assert result.get("structuredContent", text) == text
    return text


class ToolWay:
    """Over streamable HTTP, in the current revision."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Any:
        params = {"name": action, "arguments": value, "inputResponses": YES}
        meta = {"_meta": {"agentsquad.dev/key": key}} if key else {}
        message = modern("tools/call", {**params, **meta})
        reply = await ask(self._app, message, stamped(message))
        return outcome(reply.json()["result"])


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


async def begun(folder: Path) -> tuple[House, dict[str, str]]:
    """Return an installation with a run that ended and one that asks."""
    house = House(folder)
    runs = {}
    for name, workflow in (("paid", "adding"), ("asks", "asking")):
        value = {"workflow": workflow, "input": '{"a": 4}', "wait_for_people": False, "key": name}
        found = await house.squad.invoke("runs.start", value)
        runs[name] = found.run
    return house, runs


def untimed(found: list[Any]) -> list[Any]:
    """Return outcomes without texts that hold the time or a run's hashes."""
    return [
        type(one)(one.action, value=sorted(one.value)) if one.action in TIMED else one
        for one in found
    ]


async def walked(way: Any, house: House, runs: dict[str, str]) -> list[Any]:
    return await walk.walk(way, house.gateway.operations(), runs)


async def test_every_action_is_a_tool_with_the_outcome_it_has(tmp_path: Path) -> None:
    one, runs = await begun(made(tmp_path, "one"))
    principal = await one.identity.recognise(Shown(bearer="person:ada"))
    direct = walk.Direct(one.gateway, Caller(principal=principal, surface="mcp"))
    wanted = await walked(direct, one, runs)
    other, runs = await begun(made(tmp_path, "other"))
    way = ToolWay(other.app())
    found = await walked(way, other, runs)
    events = [
        [(e.type, e.actor) for e in await house.squad.world.store.read(limit=5000)]
        for house in (one, other)
    ]
    await one.close()
    await other.close()
    assert walk.told_otherwise(wanted) == []
    assert walk.differences(untimed(found), untimed(wanted)) == []
    assert events[0] == events[1]
