"""What happens when more is asked than can be done: one, two, five and ten
times the rated load on a real SQLite log, in real time.

Rated is what clients get who come again as soon as they are served. Then
clients come at an even rate whether or not the others were served, wait for
`--patience` seconds and go; goodput counts those served within it. After each
storm half of the rated load comes, and recovery is the time until a whole
second passes without a refusal and with all served about as fast as before.
Each step works for `--work` milliseconds. `--without` shows the same with
admission off. Goodput is also told for each second of processor time, as a
shared machine does not give the same share to all phases.

    python bench/overload.py [--seconds 10] [--without]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

import engine as bench
import peers
from agentsquad.kernel.errors import LimitError
from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.concurrency import Tuning

TIMES = (1, 2, 5, 10)
CLIENTS = 50
RECOVERY_S = 30
UNLIMITED = Tuning(at_once_min=10**9, at_once_first=10**9, at_once_max=10**9)


class Storm:
    """Clients who come to one engine, and what became of them."""

    def __init__(self, squad: Any, patience_s: float, *, without: bool) -> None:
        self.squad = squad
        self.patience_s = patience_s
        self.tasks: set[asyncio.Task[None]] = set()
        self.served: list[tuple[float, float]] = []  # when, how long it took
        self.refused: list[float] = []
        self.told: list[int] = []
        self.gone = 0
        if without:
            world = squad.world
            squad.admission = Admission(world.clock, world.entropy, UNLIMITED)
            squad.admission.bind(lambda: len(squad.drives))

    async def client(self) -> None:
        """Start a run and wait for its end, as long as there is patience."""
        came = time.perf_counter()
        try:
            async with asyncio.timeout(self.patience_s):
                run = await self.squad.start("chained", peers.PAYLOAD)
                await self.squad.wait(run)
        except LimitError as error:
            self.refused.append(time.perf_counter())
            self.told.append(error.retry_after_ms or 0)
        except TimeoutError:
            self.gone += 1
        else:
            now = time.perf_counter()
            self.served.append((now, now - came))

    async def rated(self, seconds: float) -> tuple[float, float]:
        """Return how many runs a second are done at best, of time and of
        processor time."""
        await self.client()
        self.served.clear()
        end = time.perf_counter() + seconds

        async def again() -> None:
            while time.perf_counter() < end:
                await self.client()

        begin, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(again() for _ in range(CLIENTS)))
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        return len(self.served) / wall, len(self.served) / cpu

    async def offer(self, rate_s: float, seconds: float) -> tuple[int, float]:
        """Let clients come at an even rate; return how many came, and for how
        long."""
        begin, came = time.perf_counter(), 0
        while (passed := time.perf_counter() - begin) < seconds:
            while came < passed * rate_s:
                task = asyncio.create_task(self.client())
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
                came += 1
            await asyncio.sleep(0.004)
        return came, time.perf_counter() - begin

    async def recovery(self, rate_s: float, calm_s: float) -> float | None:
        """Return how long it takes until a second is as good as any."""
        begin = time.perf_counter()
        while time.perf_counter() - begin < RECOVERY_S:
            since = time.perf_counter()
            came, _ = await self.offer(rate_s, 1.0)
            late = [took for when, took in self.served if when >= since and took > 3 * calm_s]
            enough = sum(when >= since for when, _ in self.served) >= 0.9 * came
            if enough and not late and not any(when >= since for when in self.refused):
                return since - begin
        return None

    async def drain(self) -> None:
        """Let those who wait go."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def percentile(values: list[float], part: float) -> float:
    """Return a percentile in milliseconds."""
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1e3


async def measure(times: int, options: argparse.Namespace) -> None:
    """Print the line of one load."""
    async with bench.engine(work_ms=options.work) as squad:
        storm = Storm(squad, options.patience, without=options.without)
        rate, worth = await storm.rated(min(5.0, options.seconds))
        storm.served.clear()
        await storm.offer(rate / 2, 2.0)
        calm = percentile([took for _, took in storm.served], 0.99) / 1e3
        await storm.drain()
        storm.served.clear()
        cpu, begin = time.process_time(), time.perf_counter()
        came, wall = await storm.offer(times * rate, options.seconds)
        served = [took for when, took in storm.served if when >= begin]
        spent = time.process_time() - cpu
        refused, gone = len(storm.refused), storm.gone
        told = sorted(storm.told) or [0]
        line = (
            f"{times:>4}x {came / wall:>9.0f}/s {len(served) / wall:>8.0f}/s "
            f"{len(served) / wall / rate:>8.0%} {len(served) / spent / worth:>9.0%} "
            f"{percentile(served, 0.5):>8.0f} {percentile(served, 0.99):>8.0f} {refused:>8} "
            f"{gone:>6} {told[len(told) // 2]:>8}"
        )
        back = await storm.recovery(rate / 2, max(calm, 0.05))
        await storm.drain()
        told_back = "not in 30 s" if back is None else f"{back:.0f} s"
        print(f"{line} {told_back:>11}   {rate:.0f}/s, {spent / wall:.0%}", flush=True)


def main() -> None:
    """Measure every load."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--patience", type=float, default=2.0)
    parser.add_argument("--work", type=float, default=1.0)
    parser.add_argument("--without", action="store_true")
    options = parser.parse_args()
    print(f"admission {'off' if options.without else 'on'}; {peers.conditions()}")
    print(
        "load   offered   goodput of rated   p50 ms   p99 ms  refused    gone  told ms   recovery"
    )
    for times in TIMES:
        asyncio.run(measure(times, options))


if __name__ == "__main__":
    main()
