"""The command: live through many seeds, or show one."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial

from agentsquad.testing.simulator.contract import Report
from agentsquad.testing.simulator.plugin import side_by_side
from agentsquad.testing.simulator.simulation import WORLDS, simulate

COMMAND = "python -m agentsquad.testing.simulator"
LAST_LINES = 12


def main(arguments: list[str] | None = None) -> int:
    """Return 1 when a law did not hold in some seed, else 0."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Deterministic simulation of the log and the engine."
    )
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many seeds")
    parser.add_argument("--first", type=int, default=0, metavar="S", help="the first seed")
    parser.add_argument("--seed", type=int, metavar="K", help="only this seed")
    parser.add_argument("--world", choices=sorted(WORLDS), help="only this world")
    parser.add_argument("--trace", action="store_true", help="show every line of the seed's trace")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="processes side by side"
    )
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _one(options.seed, options.world, trace=options.trace)
    return _many(range(options.first, options.first + options.seeds), options)


def _one(seed: int, world: str | None, *, trace: bool) -> int:
    report = simulate(seed, world=world, show=_say if trace else None)
    if report.failed:
        _tell(report, trace=trace)
    _say(f"seed {seed}: {report.digest}")
    _say(f"1 seeds, {int(report.failed)} failures")
    return int(report.failed)


def _many(seeds: range, options: argparse.Namespace) -> int:
    failed = done = 0
    faults: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    live = partial(simulate, world=options.world)
    for report in side_by_side(live, seeds, options.workers):
        done += 1
        faults.update(report.faults)
        sums.update(
            events=report.events,
            runs=report.runs,
            effects=report.effects,
            virtual_ms=report.virtual_ms,
        )
        if report.failed:
            failed += 1
            _tell(report, trace=False)
        if done % max(1, len(seeds) // 20) == 0:
            sys.stderr.write(f"{done} of {len(seeds)} seeds, {failed} failures\n")
    _say(
        f"{sums['events']} events, {sums['runs']} runs, {sums['effects']} effects, "
        f"{sums['virtual_ms'] / 1000:.0f} s of virtual time"
    )
    _say("faults: " + ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items())))
    _say(f"{done} seeds, {failed} failures")
    return int(failed > 0)


def _tell(report: Report, *, trace: bool) -> None:
    _say(f"seed {report.seed} failed:")
    for finding in report.findings:
        _say(f"  {finding.law}: {finding.what[:500]}")
    if not trace:
        _say("  its last lines:")
        for line in report.last[-LAST_LINES:]:
            _say(f"    {line[:200]}")
    _say(f"  repeat it: {COMMAND} --seed {report.seed} --world {report.world} --trace")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
