"""Whole agents behind `squad proxy`, as their users start them: a script on a
vendor's SDK, live and offline again. One of LangGraph, whose environment takes
longer to make than it runs, is in `bench/recording.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentsquad.testing.model_provider import provider

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
ANSWER = "Answer 2 to: It rains in Paris.\n"


def squad(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SQUAD_", "OPENAI", "ANTHRO"))}
    return subprocess.run(
        [sys.executable, "-m", "agentsquad.assembly.main", *words],
        env={**kept, "SQUAD_HOME": str(home), "SQUAD_USER": "tester", **more},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def recorded(home: Path, *command: str) -> tuple[str, Any]:
    """Run an agent against a provider that is gone afterwards; return its run
    and what was asked."""
    with provider() as there:
        found = squad(
            home, "proxy", "--", *command, OPENAI_BASE_URL=f"{there.url}/v1",
            OPENAI_API_KEY="the-real-key",
        )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(ANSWER)
    listed = json.loads(squad(home, "runs", "list", "-o", "json").stdout)["items"]
    assert listed[0]["status"] == "completed"
    return listed[0]["id"], there.asked


def offline(home: Path, run: str, *command: str) -> subprocess.CompletedProcess[str]:
    return squad(home, "proxy", "--replay", run, "--", *command)


def test_a_script_on_the_sdk_is_recorded_and_runs_offline_without_a_change(
    tmp_path: Path,
) -> None:
    command = (sys.executable, str(EXAMPLES / "sdk_agent.py"))
    run, asked = recorded(tmp_path, *command)
    assert len(asked) == 2
    again = offline(tmp_path, run, *command)
    assert (again.returncode, again.stdout.startswith(ANSWER)) == (0, True)
    assert "identical: all 2 requests as recorded" in again.stdout
    assert json.loads(squad(tmp_path, "replay", run, "-o", "json").stdout)["verdict"] == "identical"
    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert b"the-real-key" not in file.read_bytes()


def test_an_agent_that_does_otherwise_ends_with_eleven_and_where(tmp_path: Path) -> None:
    command = (sys.executable, str(EXAMPLES / "sdk_agent.py"))
    run, _ = recorded(tmp_path, *command)
    other = tmp_path / "other.py"
    text = (EXAMPLES / "sdk_agent.py").read_text()
    other.write_text(text.replace('"It rains in {city}."', '"It snows in {city}."'))
    found = offline(tmp_path, run, sys.executable, str(other))
    assert found.returncode == 11
    assert "diverged at request 2, /messages/2/content" in found.stdout
    fewer = offline(tmp_path, run, sys.executable, "-c", "pass")
    assert fewer.returncode == 11
    assert "request 1 of the recording was not made again" in fewer.stdout


def test_the_exit_code_of_the_agent_is_passed_on(tmp_path: Path) -> None:
    with provider() as there:
        base = f"{there.url}/v1"
        code = (
            "import os, sys; sys.exit(7 if os.environ['OPENAI_API_KEY'].startswith('sqp_') else 1)"
        )
        found = squad(tmp_path, "proxy", "--", sys.executable, "-c", code, OPENAI_BASE_URL=base)
    assert found.returncode == 7
    missing = squad(tmp_path, "proxy", "--", str(tmp_path / "no-such-program"))
    assert missing.returncode == 2
    assert "cannot start" in missing.stderr
