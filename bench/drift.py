"""Counts how often drift alarms falsely, misses, and blames the wrong change.

Three counts over seeds, each with its 95 % interval (Wilson): alarms over
populations without change, seeded drifts found within 200 decisions, and
culprits over whole worlds with one known change, driven by the real engine.
`--full` takes 500 populations, 60 drifts a class and 50 worlds a kind (about
twenty minutes of one core); without it a fraction, to see that it works.
`--only NAME` picks a part: null, power, culprit.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter

from agentsquad.insight.drift.comparison import compare, look
from agentsquad.insight.drift.contract import Report
from agentsquad.insight.drift.interval import wilson
from agentsquad.testing.drift_population import SIZES, Drawn
from agentsquad.testing.seeded_drift import KINDS, Kind, SeededDrift

ALPHA = 0.05
OLD, NEW = 300, 200
BEFORE, AFTER = 120, 120


def share(count: int, of: int) -> str:
    """Return a share with its interval."""
    low, high = wilson(count, of)
    return f"{count}/{of} = {100 * count / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def null(populations: int) -> None:
    """Count alarms where nothing changed, with all looks and with one."""
    looked = once = 0
    for seed in range(populations):
        drawn = Drawn(f"null/{seed}")
        old, new = drawn.runs(OLD), drawn.runs(NEW)
        looks, _ = look(old, new, ALPHA)
        looked += looks[-1].drifted > 0
        once += any(one.drifted for one in compare(old, new, ALPHA))
    print(f"  false alarms, four looks up to {NEW} runs  {share(looked, populations)}")
    print(f"  false alarms, one look at {NEW} runs       {share(once, populations)}")


def power(populations: int) -> None:
    """Count drifts found within 200 decisions, by class of feature."""
    for kind, drift in SIZES.items():
        found = named = 0
        for seed in range(populations):
            drawn = Drawn(f"{kind}/{seed}")
            old, new = drawn.runs(OLD), drawn.runs(NEW, drift)
            _, findings = look(old, new, ALPHA)
            drifted = [one for one in findings if one.drifted]
            found += bool(drifted)
            named += any(one.kind == kind for one in drifted)
        size = {name: value for name in drift.__struct_fields__ if (value := getattr(drift, name))}
        told = ", ".join(f"{name} +{value}" for name, value in size.items())
        print(f"  {kind:9} {told:14} found {share(found, populations)}; in its class {named}")


async def world(seed: int, kind: Kind) -> Report:
    """Return what is said of one world."""
    made = SeededDrift(seed, kind)
    await made.before(BEFORE)
    last = await made.last()
    await made.after(AFTER)
    return await made.report(baseline=f"..{last}")


def culprits(worlds: int) -> None:
    """Count right culprits over worlds with one change of each kind, then
    alarms and culprits where none changed."""
    right = total = 0
    for kind in (*KINDS, "inputs"):
        said: Counter[str] = Counter()
        control = sample = 0
        count = worlds if kind in KINDS else (worlds + 1) // 2
        for seed in range(count):
            report = asyncio.run(world(seed, kind))
            said[report.culprit.verdict if report.culprit else "no alarm"] += 1
            if report.culprit:
                control += report.culprit.control
                sample += report.culprit.sample
        others = ", ".join(f"{k} {v}" for k, v in said.most_common() if k != kind)
        print(
            f"  {kind:7} right {share(said[kind], count)}{'; ' + others if others else ''};"
            f" {control} of {sample} runs the same when driven again unchanged"
        )
        if kind in KINDS:
            right, total = right + said[kind], total + worlds
    print(f"  four kinds together  {share(right, total)}")
    alarms = sum(asyncio.run(world(seed, "none")).alarm for seed in range(worlds))
    print(f"  no change, decoy versions: false alarms {share(alarms, worlds)}")


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", choices=("null", "power", "culprit"))
    args = parser.parse_args()
    parts = (
        ("null", "alarms without change", null, 500 if args.full else 25),
        ("power", f"drifts found within {NEW} decisions", power, 60 if args.full else 8),
        ("culprit", "culprits", culprits, 50 if args.full else 2),
    )
    for name, title, count, size in parts:
        if args.only in (None, name):
            print(f"{title} (seeds 0 to {size - 1})", flush=True)
            began = time.process_time()
            count(size)
            print(f"  {time.process_time() - began:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
