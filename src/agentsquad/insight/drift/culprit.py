"""The culprit: how much of a difference each factor makes when it alone is
swapped.

Pure: values of the drifted feature over a sample, arm by arm, in; shares with
intervals and a verdict out. Each factor is swapped in both directions, to new
over old runs and back to old from all new, so that two changes that only work
together share what they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import msgspec

from agentsquad.insight.drift.chance import Chance
from agentsquad.insight.drift.contract import Change, Culprit, Factor, Finding, Share
from agentsquad.insight.drift.report import amount, moved, version

REPRODUCED = 0.3  # least part of the observed difference that swapping must bring about
BLAMED = 0.6  # least part of that which one factor must make
TIMES = 500


class Arms(msgspec.Struct, kw_only=True):
    """The feature in each run of the sample, by arm; `forward` has one factor
    new, `reverse` all but one."""

    recorded: list[float]
    control: list[float]
    all_new: list[float]
    forward: dict[Factor, list[float]] = {}
    reverse: dict[Factor, list[float]] = {}

    def points(self, factor: Factor) -> list[float]:
        """Return what a factor adds to the feature, run by run."""
        if factor == "definition":
            return [b - a for a, b in zip(self.recorded, self.control, strict=True)]
        return [
            ((forward - control) + (everything - reverse)) / 2
            for forward, control, everything, reverse in zip(
                self.forward[factor],
                self.control,
                self.all_new,
                self.reverse[factor],
                strict=True,
            )
        ]


def shares(
    arms: Arms,
    changes: Sequence[Change],
    stand_ins: Mapping[Factor, int],
    seed: str,
) -> list[Share]:
    """Return each factor's share of the whole, largest first."""
    whole = [b - a for a, b in zip(arms.recorded, arms.all_new, strict=True)]
    changed = {one.factor for one in changes}
    factors: list[Factor] = [*arms.forward, "definition"]
    found = []
    for factor in factors:
        points = arms.points(factor)
        low, high = _interval(points, whole, Chance(f"{seed}/{factor}"))
        total = fmean(whole)
        found.append(
            Share(
                factor=factor,
                forward=_mean_step(arms.control, arms.forward.get(factor))
                if factor != "definition"
                else fmean(points),
                reverse=_mean_step(arms.reverse.get(factor), arms.all_new)
                if factor != "definition"
                else fmean(points),
                points=fmean(points),
                share=fmean(points) / total if total else 0.0,
                low=low,
                high=high,
                stand_ins=stand_ins.get(factor, 0),
                changed=factor in changed,
            )
        )
    return sorted(found, key=lambda one: (-one.share, factors.index(one.factor)))


def _mean_step(before: Sequence[float] | None, after: Sequence[float] | None) -> float:
    return fmean(after) - fmean(before) if before and after else 0.0


def _interval(
    points: Sequence[float], whole: Sequence[float], chance: Chance
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a factor's share over the runs."""
    drawn = []
    for _ in range(TIMES):
        picked = chance.resample(len(points))
        total = sum(whole[i] for i in picked)
        if total:
            drawn.append(sum(points[i] for i in picked) / total)
    if not drawn:
        return 0.0, 0.0
    drawn.sort()
    return drawn[int(0.025 * len(drawn))], drawn[min(len(drawn) - 1, int(0.975 * len(drawn)))]


class Evidence(msgspec.Struct, kw_only=True):
    """What the arms gave, and around it: how many runs, how many left out."""

    finding: Finding
    arms: Arms
    shares: list[Share]
    skipped: int
    same: int
    notes: list[str] = []


def judge(found: Evidence, changes: Sequence[Change], inputs: Sequence[Finding]) -> Culprit:
    """Return the verdict: one factor, several, the inputs, or unknown."""
    arms, finding = found.arms, found.finding
    whole = fmean(arms.all_new) - fmean(arms.recorded)
    observed = finding.difference
    verdict, because = _verdict(found, whole, observed, changes, inputs)
    return Culprit(
        verdict=verdict,
        because=because,
        feature=f"{finding.kind}/{finding.name}",
        category=finding.category,
        sample=len(arms.recorded),
        skipped=found.skipped,
        control=found.same,
        old=fmean(arms.recorded),
        all_new=fmean(arms.all_new),
        observed=observed,
        shares=found.shares,
        notes=found.notes,
    )


def _verdict(
    found: Evidence,
    whole: float,
    observed: float,
    changes: Sequence[Change],
    inputs: Sequence[Finding],
) -> tuple[str, str]:
    if whole * observed <= 0 or abs(whole) < REPRODUCED * abs(observed):
        drifted = [one for one in inputs if one.drifted]
        if drifted:
            return "inputs", f"none of the versions: the inputs changed ({moved(drifted[0])})"
        return "unknown", "no culprit: swapping versions over old runs does not bring it about"
    first = found.shares[0]
    part = _points(found.finding, first.points, observed)
    if first.share >= BLAMED:
        return first.factor, f"culprit: {first.factor}{version(changes, first.factor)} ({part})"
    several = [one for one in found.shares if one.share >= 0.15][:3]
    names = " and ".join(f"{one.factor} ({100 * one.share:.0f} %)" for one in several)
    return "several", f"culprits: {names or 'several together'}"


def _points(finding: Finding, points: float, observed: float) -> str:
    if finding.category is not None:
        return f"{100 * abs(points):.0f} of {100 * abs(observed):.0f} points"
    return f"{amount(finding, abs(points))} of {amount(finding, abs(observed))}"
