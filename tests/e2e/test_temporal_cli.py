"""The flagship on Temporal, by the commands people use: a worker in a process
of its own, everything else as with the embedded engine."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

_spec = importlib.util.spec_from_file_location(
    "squad_engine_kit", Path(__file__).parents[1] / "conformance" / "engine_kit.py"
)
assert _spec and _spec.loader
kit = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
if not hasattr(kit, "opened"):
    _spec.loader.exec_module(kit)

SQUAD = [
    sys.executable,
    "-W",
    "error::DeprecationWarning:agentsquad",
    "-m",
    "agentsquad.assembly.main",
]


class Installation:
    """A folder, and the commands in it."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "SQUAD_HOME": str(folder / "home"),
            "SQUAD_ENGINE": engine,
            "SQUAD_MODELS": "off",
            "SQUAD_USER": "ada",
        }
        self.worker: subprocess.Popen[str] | None = None

    def squad(self, *words: str, code: int = 0) -> Any:
        done = subprocess.run(
            [*SQUAD, *words, "-o", "json"],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def serve(self) -> None:
        self.worker = subprocess.Popen(
            [*SQUAD, "worker", "-o", "json"],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def started(self, *words: str) -> Any:
        """The output of a command that needs a worker, as soon as there is
        one."""
        deadline = time.monotonic() + 30
        while True:
            done = subprocess.run(
                [*SQUAD, *words, "-o", "json"],
                cwd=self.folder,
                env=self.env,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 9 and time.monotonic() < deadline:
                assert "temporal.no_worker" in done.stderr
                time.sleep(0.3)
                continue
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)


def test_the_flagship_on_temporal_matches_to_the_cent(tmp_path: Path):
    here = Installation(tmp_path, kit.address())
    here.squad("demo", "data", "--orders", "6", "--seed", "11", "--out", "orders")
    refused = here.squad("demo", "--folder", "orders", "--auto", code=9)
    assert "temporal.no_worker" in refused
    assert "squad worker" in refused
    assert here.squad("runs", "list")["items"] == []
    here.serve()
    try:
        found = here.started("demo", "--folder", "orders", "--auto")
        assert found["ground_truth"] == "matches"
        assert found["status"] == "completed"
        run = found["run"]
        (listed,) = here.squad("runs", "list")["items"]
        assert (listed["id"], listed["status"]) == (run, "completed")
        assert here.squad("replay", run)["verdict"] == "identical"
        again = here.squad("demo", "--folder", "orders", "--auto")
        assert (again["run"], again["events"]) == (run, found["events"])
    finally:
        assert here.worker is not None
        here.worker.send_signal(signal.SIGTERM)
        out, err = here.worker.communicate(timeout=30)
    assert here.worker.returncode == 0, err
    served = json.loads(out)
    assert served["runs"] == found["runs"]
