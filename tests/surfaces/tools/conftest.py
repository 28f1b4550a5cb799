"""An installation whose agent may use the tools of another system."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.integrations.connectors.tools.contract import Peers
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.workforce.agents.contract import ModelReply, ModelRequest, ToolCall

SERVER = Path(__file__).with_name("official_server.py")
RULES = """package test.tools

actions := {"tools.write", "tools.commit"}

allow contains {"clause": "test.tools.all", "reason": "a test"} if true
"""


class Workshop:
    """One installation with an agent `clerk` whose model calls what it is
    told to."""

    def __init__(self, home: Path) -> None:
        self.home = home
        environment = {"SQUAD_TOOL_COMMANDS": sys.executable, "TRACKER": "s3cret"}
        settings = read(environment, home=str(home))
        settings = msgspec.structs.replace(settings, store="memory:", user="ada")
        rules = Plugin(name="test-tools", policies={"test/tools.rego": RULES})
        self.squad = Squad(settings, Registry((*plugins(), rules)))
        self.wishes: list[tuple[str, dict[str, Any]]] = []
        self.heard: list[ModelRequest] = []

    def clerk(self, request: ModelRequest) -> ModelReply | str:
        self.heard.append(request)
        if self.wishes:
            name, arguments = self.wishes.pop(0)
            call = ToolCall(id=f"c{len(self.heard)}", name=name, arguments=arguments)
            return ModelReply(model="clerk", text="", tool_calls=(call,), finish="tool_calls")
        return request.messages[-1].content

    async def apply(self, **spec: Any) -> None:
        """Apply the tool server and the agent."""
        server = {"kind": "ToolServer", "metadata": {"name": "tracker"}, "spec": spec}
        agent = {
            "kind": "Agent",
            "metadata": {"name": "clerk"},
            "spec": {"role": "a clerk", "model": "rules/clerk", "tools": ["tracker/*"]},
        }
        for number, one in enumerate((server, agent)):
            path = self.home / f"{number}.json"
            path.write_text(json.dumps({"apiVersion": "agentsquad.dev/v1", **one}))
            await self.squad.invoke("resources.apply", {"file": [str(path)]})

    async def program(self, **more: Any) -> None:
        """Apply the official server as a program."""
        await self.apply(command=[sys.executable, str(SERVER), str(self.home)], **more)

    async def pin(self) -> Any:
        return await self.squad.invoke("tools.pin", {"server": "tracker"})

    async def ask(self, *wishes: tuple[str, dict[str, Any]]) -> Any:
        """Let the agent call tools; return what its last one answered."""
        self.wishes = list(wishes)
        body = json.dumps({"agent": "clerk", "task": "do it"})
        found = await self.squad.invoke("runs.start", {"workflow": "agent-turn", "input": body})
        assert found.status == "completed", found.error
        return found.run, json.loads(found.output) if wishes else found.output

    def calls(self) -> list[str]:
        """Return what the server noted."""
        path = self.home / "calls"
        return path.read_text().splitlines() if path.exists() else []

    async def reconnect(self) -> None:
        await self.squad.world.ports.get(Peers).close()

    async def close(self) -> None:
        await self.reconnect()
        await self.squad.close()


@pytest_asyncio.fixture
async def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Workshop(tmp_path)
    monkeypatch.setattr("agentsquad.assembly.squad.shipped_rules", lambda: {"clerk": made.clerk})
    yield made
    await made.close()
