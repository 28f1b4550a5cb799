"""Schemathesis, an independent reader of the description, finds nothing.

Here it tries the addresses that are REST's own and some actions; with
SCHEMATHESIS_ALL=1 all of them, which takes long. Left out there: what runs for
as long as it is told, and models, which are turned off.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("st")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "2")
OWN = (
    r"^/v1/(resources.*|runs|runs/.run.|runs/.run./(cancel|signal)|blobs.*|approvals|proofs.*"
    r"|events/.seq.|actions|actions/(runs.list|log.show|edi.check|resources.put|budget.set))$"
)
LONG = r"shop|trials|chaos|workflows.check|schedules.run|engine.run|models|/events$|namespaces/"
EVERYTHING = "SCHEMATHESIS_ALL" in os.environ
WHICH = ["--exclude-path-regex", LONG] if EVERYTHING else ["--include-path-regex", OWN]


@pytest.mark.slow
def test_schemathesis_finds_nothing(address: str, tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    words = [
        str(PROGRAM), "run", f"{address}/openapi.json", "--max-examples", EXAMPLES,
        "--seed", "7", "--phases", "examples,coverage,fuzzing", "--no-color",
        "--continue-on-failure", "--header", "Authorization: Bearer ada",
        # What a schema allows may still not be there, or not fit together.
        "--exclude-checks", "positive_data_acceptance", *WHICH,
    ]  # fmt: skip
    said = subprocess.run(
        words,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "PYTHONPATH": here, "SCHEMATHESIS_HOOKS": "schemathesis_hooks"},
    )
    if "SCHEMATHESIS_OUT" in os.environ:
        Path(os.environ["SCHEMATHESIS_OUT"]).write_text(said.stdout + said.stderr)
    assert said.returncode == 0, said.stdout[-6000:] + said.stderr[-2000:]
