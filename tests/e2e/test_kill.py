"""Kill -9 at a hundred moments: nothing acknowledged is lost, nothing confirmed
is repeated, and what comes out is what comes out without a kill.

Real processes on a real store. A kill comes when the life has acknowledged a
number of events drawn from the seed, and a moment later; some come while the
program is still starting or recovering. SQUAD_KILLS sets another number of
kills for each of the four seeds.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.ids import keyed_id
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.ledger.verification import verify
from agentsquad.testing import ManualClock, SeededEntropy

PROGRAM = Path(__file__).with_name("crash_world.py")
KILLS = int(os.environ.get("SQUAD_KILLS", "25"))
CASES = max(30, 3 * KILLS)
RUN = keyed_id("batch", "the-batch")


class Zygote:
    """A program with everything loaded, from which killable ones are forked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, home: Path, cases: int) -> int:
        """Start a life and return its process number."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{home} {cases}\n")
        self._process.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """Return how the life ended: minus the signal that killed it."""
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        """Let it go."""
        self._process.communicate()


@pytest.fixture(scope="module")
def zygote():
    made = Zygote()
    yield made
    made.close()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def wait_for(path: Path, more: int, limit_s: float) -> None:
    """Wait until so many bytes were added to a file."""
    end = time.monotonic() + limit_s
    until = size(path) + more
    while size(path) < until and time.monotonic() < end:
        time.sleep(0.0005)


def kill_again_and_again(zygote: Zygote, home: Path, draw: random.Random) -> int:
    acknowledged = home / "acknowledged.txt"
    kills = 0
    while kills < KILLS:
        process = zygote.start(home, CASES)
        if draw.random() < 0.2:  # while it starts or recovers
            time.sleep(draw.random() * 0.02)
        else:
            wait_for(acknowledged, draw.randrange(1, 5000), 5)
            time.sleep(draw.random() * 0.004)
        os.kill(process, signal.SIGKILL)
        assert zygote.end() == -signal.SIGKILL, "it ended before it was killed often enough"
        kills += 1
    return kills


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_a_batch_killed_again_and_again_pays_each_case_exactly_once(
    zygote: Zygote, tmp_path: Path, seed: int
):
    calm, home = tmp_path / "calm", tmp_path / "home"
    for folder in (calm, home):
        folder.mkdir()
    zygote.start(calm, CASES)
    assert zygote.end() == 0
    assert kill_again_and_again(zygote, home, random.Random(seed)) == KILLS
    zygote.start(home, CASES)
    assert zygote.end() == 0

    expected = [2 * n + 1 for n in range(CASES)]
    outcome = f"completed {expected}"
    assert (home / "outcome.txt").read_text() == (calm / "outcome.txt").read_text() == outcome
    paid = [line.split() for line in (home / "bank.txt").read_text().splitlines()]
    assert sorted(int(n) for _, n in paid) == expected
    assert max(Counter(key for key, _ in paid).values()) == 1
    assert {key for key, _ in paid} == {
        line.split()[0] for line in (calm / "bank.txt").read_text().splitlines()
    }
    await nothing_acknowledged_is_lost(home)


async def nothing_acknowledged_is_lost(home: Path) -> None:
    ledger = open_ledger(f"sqlite:///{home}/log.db", ManualClock(), SeededEntropy())
    try:
        events: list[Any] = []
        while batch := await ledger.store.read(after=len(events), limit=5000):
            events += batch
        told = (home / "acknowledged.txt").read_text().splitlines()
        assert len(told) > CASES * 5
        for line in told:
            seq, stream, kind, digest = line.split()
            event = events[int(seq) - 1]
            assert (event.stream, event.type, event.payload_digest) == (stream, kind, digest)
        report = await verify(ledger, lambda *_: None)
        assert (report.events, report.findings) == (len(events), [])
        found = await replay(ledger.store, registry(), RUN)
        # The program's own module has another name here, and so its definition.
        assert found.verdict == "compatible", found
    finally:
        ledger.close()


def registry() -> Registry:
    """Return the registry of the program."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("crash_world", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["crash_world"] = module
    spec.loader.exec_module(module)
    return module.REGISTRY


@pytest.mark.slow
def test_a_fresh_process_that_is_killed_goes_on_too(tmp_path: Path):
    # Without the zygote: interpreter, imports and all.
    command = [sys.executable, str(PROGRAM), str(tmp_path), "12"]
    for _ in range(3):
        process = subprocess.Popen(command)
        wait_for(tmp_path / "acknowledged.txt", 600, 30)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    assert (tmp_path / "outcome.txt").read_text().startswith("completed [1, 3, 5")
    paid = (tmp_path / "bank.txt").read_text().splitlines()
    assert len(paid) == len({line.split()[0] for line in paid}) == 12
