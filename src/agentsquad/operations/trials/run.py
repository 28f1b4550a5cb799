"""Running trials: many scenarios of one workflow, each held against the laws.

Scenarios come in parts that are drawn each from its own seed, so that what is
tried depends on the seed alone and not on who tries it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.operations.trials.contract import (
    BatchOutput,
    Broken,
    Draw,
    Explorer,
    Invariant,
    TestInput,
    Trial,
    TrialFileError,
    TrialFiles,
)
from agentsquad.operations.trials.law import LAWS
from agentsquad.operations.trials.play import play
from agentsquad.operations.trials.scenario import Plan, Scenario, Span, build, case_of, replaying
from agentsquad.operations.trials.tale import Tale
from agentsquad.operations.trials.value import schema_of
from agentsquad.runtime.determinism.rehearsal import resolve
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.widened import widened

BATCH = 100
CALIBRATIONS = 5  # the longest of so many undisturbed runs says where things can go wrong


class Trials:
    """The trials of one workflow in one installation."""

    def __init__(self, world: World, plan: Plan, laws: Sequence[Invariant]) -> None:
        self.world = world
        self.plan = plan
        self.laws = tuple(laws)
        self._calibrated = False

    def scenario(self, choices: Sequence[int]) -> Scenario:
        """Return what choices stand for."""
        return build(replaying(choices), self.plan)

    async def calibrate(self, explorer: Explorer) -> None:
        """Play a few undisturbed cases to learn how long a run is."""
        if self._calibrated:
            return
        self._calibrated = True
        cases = explorer.draw(lambda draw: _quiet(draw, self.plan), CALIBRATIONS, "calibrate")
        longest = Counter(appends=1, calls=1, events=1, effects=1)
        for choices in cases:
            tale = await self.play(_quiet(replaying(choices), self.plan))
            if tale.story is not None:
                longest |= Counter(
                    appends=len(tale.story.appends),
                    calls=len(tale.story.calls),
                    events=len(tale.events),
                    effects=len(tale.effects()),
                )
        self.plan = msgspec.structs.replace(self.plan, span=Span(**longest))

    async def play(self, scenario: Scenario) -> Tale:
        """Play one scenario."""
        started = await resolve(self.world, scenario.workflow, scenario.input)
        tale = await play(self.world, self.plan.trial, scenario, started)
        if scenario.faults and tale.quiet:
            calm = msgspec.structs.replace(scenario, faults=())
            tale.calm = await play(self.world, self.plan.trial, calm, started)
        return tale

    def broken(self, tale: Tale) -> dict[str, str]:
        """Return what is wrong with a tale, by law."""
        found = {}
        for law in self.laws:
            wrong = judged(law, tale)
            if wrong is not None:
                found[law.name] = wrong
        return found

    async def batch(
        self, explorer: Explorer, seed: str, count: int, tell: Callable[[int], None]
    ) -> BatchOutput:
        """Try so many scenarios drawn from one seed."""
        await self.calibrate(explorer)
        plan = self.plan
        drawn = explorer.draw(lambda draw: build(draw, plan), count, seed)
        shortest: dict[str, Broken] = {}
        endings: Counter[str] = Counter()
        failed = 0
        for done, choices in enumerate(drawn, start=1):
            tale = await self.play(self.scenario(choices))
            endings[ending(tale)] += 1
            found = self.broken(tale)
            failed += bool(found)
            for name in found:
                _keep(shortest, name, choices, len(tale.events))
            tell(done)
        return BatchOutput(
            scenarios=len(drawn),
            failed=failed,
            invariants={law.name: len(drawn) for law in self.laws},
            broken=list(shortest.values()),
            endings=dict(endings),
        )

    async def shrunk(
        self, explorer: Explorer, broken: Broken, limit: int
    ) -> tuple[list[int], Tale, str]:
        """Return the simplest choices found that break a law, their tale and
        what is wrong with it."""
        await self.calibrate(explorer)
        law = next(law for law in self.laws if law.name == broken.invariant)
        best = (broken.events, list(broken.choices))

        async def fails(choices: Sequence[int]) -> bool:
            nonlocal best
            tale = await self.play(self.scenario(choices))
            if judged(law, tale) is None:
                return False
            best = min(best, (len(tale.events), list(choices)))
            return True

        plan = self.plan
        simplest = await explorer.shrink(
            lambda draw: build(draw, plan), broken.choices, fails, limit
        )
        tale = await self.play(self.scenario(simplest))
        if len(tale.events) > best[0]:
            simplest = best[1]
            tale = await self.play(self.scenario(simplest))
        return simplest, tale, judged(law, tale) or "it did not happen again"


def judged(law: Invariant, tale: Tale) -> str | None:
    """Return what a law finds wrong; an assertion that fails is a finding."""
    try:
        return law.check(tale) or None
    except AssertionError as error:
        return str(error).partition("\n")[0] or "an assertion failed"


def ending(tale: Tale) -> str:
    """Say in a word or two how a trial ended."""
    if tale.status == "failed" and isinstance(tale.error, dict):
        return f"failed: {tale.error.get('code')}"
    return tale.status


def _quiet(draw: Draw, plan: Plan) -> Scenario:
    case = case_of(draw, plan)
    return Scenario(workflow=plan.workflow, input=case.input, world=case.world)


def _keep(shortest: dict[str, Broken], name: str, choices: list[int], events: int) -> None:
    known = shortest.get(name)
    if known is None:
        shortest[name] = Broken(invariant=name, found=1, choices=choices, events=events)
        return
    known.found += 1
    if (events, len(choices), choices) < (known.events, len(known.choices), known.choices):
        known.events, known.choices = events, choices


async def prepare(world: World, files: TrialFiles, value: TestInput) -> Trials:
    """Return the trials that were asked for, plugins and laws loaded."""
    if value.plugin is not None:
        world = widened(world, _plugin(files, value.plugin))
    trial = _trial(world.registry, value.workflow)
    laws = [*LAWS, *trial.invariants]
    if value.invariants is not None:
        own = [one for one in files.load(value.invariants).values() if isinstance(one, Invariant)]
        if not own:
            raise TrialFileError(
                f"{value.invariants} defines no invariant",
                hint='write @invariant("name") before a function of a story; '
                "from agentsquad.testing import invariant",
            )
        laws += own
    known = {law.name for law in laws}
    for name in value.without:
        if name not in known:
            raise MissingError(
                f"no law named {name!r}",
                code="trials.law",
                hint=f"known: {', '.join(sorted(known))}",
            )
    started, wrapped = await resolve(world, value.workflow, None)
    schema = schema_of(world.registry.workflow(started).input)
    if started != value.workflow:
        schema = wrapped.get("spec", {}).get("input") or {}
    plan = Plan(workflow=value.workflow, schema=schema, trial=trial)
    return Trials(world, plan, [law for law in laws if law.name not in value.without])


def _trial(registry: Registry, workflow: str) -> Trial:
    for plugin in registry.plugins:
        for one in plugin.trials:
            if isinstance(one, Trial) and one.workflow == workflow:
                return one
    return Trial(workflow=workflow)


def _plugin(files: TrialFiles, name: str) -> Plugin:
    names = files.load(name)
    found = names.get("plugin")
    if not isinstance(found, Plugin):
        loose = [one for one in names.values() if isinstance(one, Plugin)]
        if len(loose) != 1:
            raise TrialFileError(
                f"{name} holds no plugin", hint="end it with plugin = Plugin(name=…, workflows=(…))"
            )
        found = loose[0]
    return found
