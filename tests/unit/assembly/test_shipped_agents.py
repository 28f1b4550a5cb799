"""The agents this distribution ships, as the whole installation offers them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.assembly import catalogue, squad
from agentsquad.assembly.settings import Settings
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.manifest import load


def opened(home: Path) -> Squad:
    return Squad(
        Settings(
            home=home,
            store="memory:",
            policy=None,
            user="tester",
            environment={"SQUAD_MODELS": "off"},
        )
    )


async def test_every_shipped_agent_can_be_shown_and_applied_again(tmp_path: Path) -> None:
    here = opened(tmp_path)
    shown = await here.invoke("resources.get", {"kind": "agents"})
    names = [one["metadata"]["name"] for one in shown["items"]]
    assert names == sorted(one["metadata"]["name"] for one in catalogue.shipped_agents())
    assert all(one["status"] == {"origin": "shipped"} for one in shown["items"])
    for name in names:
        one = await here.invoke("resources.get", {"kind": "agent", "name": name})
        text = msgspec.yaml.encode(one).decode()
        (again,) = load(text, file="printed", kinds=here.registry.kinds)
        assert again.spec == one["spec"] and again.metadata.name == name
    await here.close()


async def test_what_needs_no_agent_reads_no_agents_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def shipped() -> tuple[dict[str, Any], ...]:
        reads.append("read")
        return ()

    monkeypatch.setattr(squad, "shipped_agents", shipped)
    here = opened(tmp_path)
    await here.invoke("runs.list", {})
    assert reads == []
    await here.invoke("resources.get", {"kind": "agents"})
    assert reads == ["read"]
    await here.close()
