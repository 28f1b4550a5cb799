"""GraphQL judged by others: the audits of GraphQL over HTTP, and the
composition of Apollo Federation with another subgraph."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentsquad.surfaces.gateway.plugin import web

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PEERS = Path(__file__).parents[2] / "peers" / "graphql"


@pytest.fixture(scope="session")
def peers() -> Path:
    if not (PEERS / "node_modules" / "graphql-http").exists():
        tool = Path(__file__).parents[3] / "tools" / "peers.py"
        subprocess.run([sys.executable, str(tool), "install"], check=True, timeout=600)
    return PEERS


async def test_the_audits_pass_and_the_subgraph_composes(desk: Any, peers: Path) -> None:
    listening, end = web("127.0.0.1", 0, None), asyncio.Event()
    serving = asyncio.ensure_future(listening.serve(desk.app, end.wait, 1000))
    judge = await asyncio.create_subprocess_exec(
        "node", "judge.mjs", f"{listening.url}/graphql", "ada",
        cwd=peers, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(judge.communicate(), 120)
    end.set()
    await serving
    assert judge.returncode == 0, err.decode()[-2000:]
    found = json.loads(out)
    assert found["composition"] == []
    failed = [one for one in found["audits"] if one["status"] != "ok"]
    assert len(found["audits"]) > 50
    assert failed == []
