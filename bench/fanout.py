"""Measures one run that does so many steps side by side, each of them recorded.

`--steps N` steps that do nothing, in one run; wall time from the start of the
run to its outcome, and how much resident memory grew at most, sampled while
they go. Peers that bench/peers.py installed do it in turns with ours.
`--bounded W` has at most so many under way at once (`ctx.stream`) instead of
all
(`ctx.parallel`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import contest
import peers


def weight(folder: Path) -> int:
    """Return the bytes of the log of a ledger."""
    return sum(one.stat().st_size for one in folder.rglob("log.db*"))


class Meter:
    """Samples resident memory from a thread, until it is told to stop."""

    def __init__(self) -> None:
        self.before_mb = peers.rss_kb() / 1e3
        self.most_mb = self.before_mb
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self.most_mb = max(self.most_mb, peers.rss_kb() / 1e3)

    def close(self) -> float:
        """Return by how many megabytes it grew at most."""
        self._stop.set()
        self._thread.join()
        return max(self.most_mb, peers.rss_kb() / 1e3) - self.before_mb


async def fan(size: int, width: int) -> dict[str, float]:
    """Do the steps in one run of ours."""
    import engine
    from agentsquad.assembly.main import spare_collector

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as place:
        async with engine.engine(place=place) as squad:
            spare_collector()  # as the program does when it opens an installation
            await squad.recover()
            flow = "bounded" if width else "fan"

            async def once(count: int) -> None:
                value: Any = [count, width] if width else count
                outcome = await squad.wait(await squad.start(flow, value))
                assert outcome.output == count, outcome

            await once(100)
            meter = Meter()
            begin, cpu = time.perf_counter(), time.process_time()
            await once(size)
            wall, spent = time.perf_counter() - begin, time.process_time() - cpu
            grown = meter.close()
            return {
                "wall_s": wall,
                "cpu_s": spent,
                "steps_per_s": size / wall,
                "us_per_step": spent / size * 1e6,
                "grown_mb": grown,
                "rss_mb": meter.before_mb + grown,
                "disk_bytes_per_step": weight(Path(place)) / size,
            }


def main() -> None:
    """Run one cell, or rounds of everybody who is asked for."""
    if sys.argv[1:2] == ["cell"]:
        print(json.dumps(asyncio.run(fan(int(sys.argv[2]), int(sys.argv[3])))), flush=True)
        return
    parser = contest.arguments(__doc__, "--steps", 1_000)
    parser.add_argument("--bounded", type=int, default=0)
    options = parser.parse_args()
    rivals = contest.rivals_of(parser, options)

    def words(name: str) -> tuple[str, str, tuple[object, ...]]:
        if name == "ours":
            return __file__, sys.executable, ("cell", options.size, options.bounded)
        return peers.__file__, str(peers.interpreter(name)), (name, "fan", options.size)

    os.environ.setdefault("BENCH_LIMIT_S", "60")
    found = contest.hold(["ours", *rivals], words, options.rounds, 900)
    contest.tell(found, options.output)
    sys.exit(1 if "failed" in found["ours"] else 0)


if __name__ == "__main__":
    main()
