"""`squad mcp` as a program: the official client starts it and talks over its
standard streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

mcp = pytest.importorskip("mcp")
pytestmark = [pytest.mark.slow, pytest.mark.e2e]
PROGRAM = [sys.executable, "-m", "agentsquad.assembly.main", "mcp"]


def environment(home: Path) -> dict[str, str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**known, "SQUAD_HOME": str(home), "SQUAD_USER": "ada", "SQUAD_MODELS": "off"}


@pytest.mark.parametrize("era", ["legacy", "2026-07-28", "auto"])
async def test_the_official_client_starts_it_and_runs_a_tool(tmp_path: Path, era: str) -> None:
    from mcp import StdioServerParameters, stdio_client

    parameters = StdioServerParameters(
        command=PROGRAM[0], args=PROGRAM[1:], env=environment(tmp_path)
    )
    async with mcp.Client(stdio_client(parameters), mode=era) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"runs.start", "edi.check", "log.show"} <= names
        came = await client.call_tool("resources.get", {"kind": "agents"})
        assert came.structured_content["items"]
        halted = await client.call_tool("control.halt", {"reason": "a test"})
        assert not halted.is_error, halted.content[0].text
        log = await client.read_resource("squad://events")
        shown = json.loads(log.contents[0].text)
        assert [one["actor"] for one in shown["items"]] == ["person:ada"]


def test_what_was_asked_is_answered_before_it_ends_and_nothing_else_is_written(
    tmp_path: Path,
) -> None:
    asked: list[Any] = [
        {"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {
            "name": "control.halt" if n == 2 else "runs.list",
            "arguments": {"reason": "x"} if n == 2 else {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        }}
        for n in (1, 2, 3)
    ]  # fmt: skip
    text = "\n".join([*map(json.dumps, asked), "no json", ""])
    ended = subprocess.run(
        PROGRAM, input=text, capture_output=True, text=True, timeout=60, check=True,
        env=environment(tmp_path),
    )  # fmt: skip
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert sorted(line["id"] or 0 for line in lines) == [0, 1, 2, 3]
    assert all(line["jsonrpc"] == "2.0" for line in lines)
