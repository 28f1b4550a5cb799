"""Schemathesis, an independent reader of the description, finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "2")
PROGRAM = Path(sys.executable).with_name("st")


@pytest.mark.slow
def test_schemathesis_finds_nothing(address: str, tmp_path: Path) -> None:
    words = [
        str(PROGRAM), "run", f"{address}/openapi.json", "--max-examples", EXAMPLES,
        "--seed", "7", "--phases", "examples,coverage,fuzzing", "--no-color",
        "--continue-on-failure", "--header", "Authorization: Bearer ada",
    ]  # fmt: skip
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    if os.environ.get("SCHEMATHESIS_OUT"):
        Path(os.environ["SCHEMATHESIS_OUT"]).write_text(said.stdout + said.stderr)
    assert said.returncode == 0, said.stdout[-6000:] + said.stderr[-2000:]
