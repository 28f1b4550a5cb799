"""Kill -9 at many moments: nothing acknowledged is lost, nothing confirmed is
repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("crash_world.py")
DONE = "completed [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]"


def start(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(home)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("pace", range(4))
def test_a_batch_killed_again_and_again_pays_each_case_exactly_once(tmp_path: Path, pace: int):
    # The n-th kill comes a little later than the one before, counted from the
    # first sign of life of the log, so that the kills fall all over the batch.
    kills = 0
    output = ""
    for attempt in range(60):
        process = start(tmp_path)
        log = tmp_path / "log.db-wal"
        size = log.stat().st_size if log.exists() else 0
        while process.poll() is None and (not log.exists() or log.stat().st_size == size):
            time.sleep(0.001)
        time.sleep(0.002 * pace + 0.0035 * (attempt % 6))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        output = process.communicate()[0]
        if output:
            break
    if not output:
        output = start(tmp_path).communicate(timeout=60)[0]
    assert output.strip() == DONE
    assert kills >= 3, "the program ended before it was killed often enough"
    lines = (tmp_path / "bank.txt").read_text().splitlines()
    assert sorted(int(line.split()[1]) for line in lines) == list(range(1, 20, 2))
    assert len({line.split()[0] for line in lines}) == 10
