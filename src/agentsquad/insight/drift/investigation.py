"""The investigation: old runs driven again, arm by arm, and what came of it
counted.

Only as many arms as there are things to swap: a prompt that is the same in both
windows needs none, a workflow without agents neither model nor prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.insight.drift.chance import Chance
from agentsquad.insight.drift.contingency import OTHER
from agentsquad.insight.drift.contract import Change, Culprit, Factor, Finding
from agentsquad.insight.drift.culprit import Arms, Evidence, judge, shares
from agentsquad.insight.drift.feature import CLOCKED, number, word
from agentsquad.insight.drift.population import GENERATE, MANIFEST, PROMPT, Census, Observation
from agentsquad.insight.drift.rerun import Arm, Asker, Memory, Rerunner
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.determinism.past import Past, load
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.resilience.contract import Appraiser
from agentsquad.workforce.agents.contract import ModelRequest

SAMPLE = 40
REMEMBERED = 200  # runs of each window whose answers are kept at hand
SWAPPED: tuple[Factor, ...] = ("model", "prompt", "tool", "policy")


class Case(msgspec.Struct, kw_only=True):
    """What an investigation is about."""

    workflow: str
    finding: Finding
    inputs: list[Finding]
    changes: list[Change]
    old: list[Observation]
    new: list[Observation]


class Means(msgspec.Struct, kw_only=True):
    """What it may use: `sample` None asks models only where that is free;
    `then` decides as policy did, `exact` if that is known."""

    world: World
    store: EventStore
    sample: int | None
    then: PolicyEngine
    exact: bool
    reads: bool = False
    progress: Callable[[str], None] = lambda text: None


async def investigate(case: Case, means: Means) -> Culprit:
    """Drive a sample of old runs again and say which factor is to blame."""
    pasts = await _sample(case, means)
    memories = Memory(), Memory()
    for memory, runs in zip(memories, (case.old, case.new), strict=True):
        for one in runs[-REMEMBERED:]:
            past = await load(means.store, one.run)
            memory.read(_events(past) if past is not None else ())
    for past in pasts:
        memories[0].read(_events(past))
    factors, notes = _factors(memories, means)
    asker = Asker(means.world)
    recorded = {one.run: one for one in case.old}
    rows: list[dict[str, Observation]] = []
    counts: dict[Factor, int] = {}
    left_out: dict[str, int] = {}
    manifest = await _manifest(case, means.store)
    for index, past in enumerate(pasts):
        means.progress(f"driving old runs again: {index + 1} of {len(pasts)}")
        try:
            arm = Arm(
                new=frozenset(factors),
                policy=means.then,
                exact=means.exact,
                reads=means.reads,
                manifest=manifest,
            )
            row = await _arms(case, arm, past, (asker, memories, counts))
        except SquadError as error:
            left_out[error.message] = left_out.get(error.message, 0) + 1
            continue
        rows.append({**row, "recorded": recorded[past.run]})
    notes += [f"{count} runs could not be driven again: {why}" for why, count in left_out.items()]
    if not rows:
        return Culprit(
            verdict="unknown",
            because="no culprit: none of the old runs could be driven again",
            feature=f"{case.finding.kind}/{case.finding.name}",
            category=case.finding.category,
            sample=0,
            skipped=len(pasts),
            control=0,
            old=case.finding.old,
            all_new=case.finding.old,
            observed=case.finding.difference,
            shares=[],
            notes=notes,
        )
    notes += asker.bill()
    if not means.exact and "policy" in factors:
        notes.append("the rules of then are not kept: new questions were put to those of now")
    arms = _values(case.finding, factors, rows)
    seed = f"{case.workflow}/{case.finding.kind}/{case.finding.name}/{len(rows)}"
    found = Evidence(
        finding=case.finding,
        arms=arms,
        shares=shares(arms, case.changes, counts, seed),
        skipped=len(pasts) - len(rows),
        same=sum(_same(row["recorded"], row["control"]) for row in rows),
        notes=notes,
    )
    return judge(found, case.changes, case.inputs)


async def _sample(case: Case, means: Means) -> list[Past]:
    size = min(SAMPLE if means.sample is None else means.sample, len(case.old))
    chance = Chance(f"{case.workflow}/{len(case.old)}/{case.old[-1].run}")
    picked = sorted(chance.subset(size, len(case.old)))
    pasts = [await load(means.store, case.old[i].run) for i in picked]
    return [past for past in pasts if past is not None]


def _events(past: Past) -> Iterator[Event]:
    yield from past.events
    for child in past.children.values():
        yield from _events(child)


def _factors(memories: tuple[Memory, Memory], means: Means) -> tuple[list[Factor], list[str]]:
    """Return what is to be swapped, and why something is not."""
    then, now = memories
    notes: list[str] = []
    factors = list(SWAPPED)
    if not then.briefs:
        factors = ["tool", "policy"]
    elif all(
        then.briefs[name]["spec"].get(field) == now.briefs.get(name, one)["spec"].get(field)
        for name, one in then.briefs.items()
        for field in PROMPT
    ):
        factors.remove("prompt")
    if means.sample is None and _costs(memories, means.world):
        factors = [one for one in factors if one not in ("model", "prompt")]
        notes.append("models that cost money were not asked again; --re-run N does")
    return factors, notes


def _costs(memories: tuple[Memory, Memory], world: World) -> bool:
    """Whether asking a model of either window again has a price."""
    if not world.ports.has(Appraiser):
        return False
    appraiser: Any = world.ports.get(Appraiser)
    for memory in memories:
        for briefing in memory.briefs.values():
            model = briefing["spec"].get("model") or "default"
            try:
                quote = appraiser.appraise(GENERATE, ModelRequest(model=model, messages=()))
            except SquadError:
                continue
            if quote is not None:
                return True
    return False


async def _manifest(case: Case, store: EventStore) -> Mapping[str, Any] | None:
    """Return the input of the last new run, where it is one of a manifest."""
    first = await store.read_stream(f"run/{case.new[-1].run}", limit=1)
    body = first[0].payload or {}
    return body["input"] if body.get("workflow") == MANIFEST else None


async def _arms(
    case: Case,
    all_new: Arm,
    past: Past,
    with_: tuple[Asker, tuple[Memory, Memory], dict[Factor, int]],
) -> dict[str, Observation]:
    """Return one run as it goes under every arm."""
    asker, (then, now), counts = with_
    everything = all_new.new
    wanted: dict[str, frozenset[Factor]] = {"control": frozenset(), "all": everything}
    for factor in everything:
        wanted[f"+{factor}"] = frozenset((factor,))
        wanted[f"-{factor}"] = everything - {factor}
    made: dict[frozenset[Factor], Observation] = {}
    for new in wanted.values():
        if new in made:
            continue
        arm = msgspec.structs.replace(all_new, new=new)
        rerunner = Rerunner(asker, arm, then, now)
        made[new] = observe(case.workflow, past.run, await rerunner.again(past))
        for factor in new if len(new) == 1 else ():
            counts[factor] = counts.get(factor, 0) + rerunner.stand_ins
    return {name: made[new] for name, new in wanted.items()}


def observe(workflow: str, run: str, events: Sequence[Event]) -> Observation:
    """Return a run that was driven again as it would stand in a population."""
    census = Census(workflow)
    for event in events:
        census.add(event)
    return census.found[run]


def value(one: Observation, finding: Finding) -> float:
    """Return the drifted feature in one run: 1 or 0 for its category, else its
    number."""
    key = (finding.kind, finding.name)
    if finding.category is None:
        return number(one, key)
    said = word(one, key)
    if said not in finding.categories:
        said = OTHER
    return 1.0 if said == finding.category else 0.0


def _values(
    finding: Finding, factors: Sequence[Factor], rows: Sequence[dict[str, Observation]]
) -> Arms:
    def arm(name: str) -> list[float]:
        return [value(row[name], finding) for row in rows]

    return Arms(
        recorded=arm("recorded"),
        control=arm("control"),
        all_new=arm("all"),
        forward={factor: arm(f"+{factor}") for factor in factors},
        reverse={factor: arm(f"-{factor}") for factor in factors},
    )


def _same(one: Observation, other: Observation) -> bool:
    """Whether a run came out as recorded, times apart."""
    numbers = [
        {key: found for key, found in run.numbers.items() if key[0] not in CLOCKED}
        for run in (one, other)
    ]
    return numbers[0] == numbers[1] and one.words == other.words
