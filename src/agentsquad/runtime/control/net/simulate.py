"""Simulating workflows: how long cases take, and who is short of time.

Cases arrive and go through the net of their workflow; a step takes time and,
where a model says so, somebody of a resource, who serves in the order of
asking. What is not a step takes no time, and choices are drawn by weight (as
timed and immediate transitions of generalised stochastic nets). Intervals are
those of the means of batches, 95 %. The same seed gives the same numbers.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from agentsquad.runtime.control.net.contract import Estimate, ResourceUse, Simulation, StepUse
from agentsquad.runtime.control.net.flow import STEP, Flow, Word
from agentsquad.runtime.control.net.graph import workflow_ends
from agentsquad.runtime.control.net.petri import Net, Packed, Transition, members

BATCHES = 10
T_95 = 2.262  # Student's t for ten batches
WARM_UP = 0.1
WRONG = ("condition fails", "too often", "refused", "cannot choose", "no list", "from outside")
MOVES_MAX = 100_000  # immediate moves of one case without a step between


class StepModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a step takes, on average, and whom it needs; `fails` is the
    share that fails."""

    seconds: float = 60.0
    spread: str = "exponential"
    resource: str | None = None
    fails: float = 0.0


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is simulated: arrivals, steps by name ("*" for the others), how
    many of each resource there are, and weights of choices by name."""

    every_seconds: float = 300.0
    arrivals: str = "exponential"
    steps: dict[str, StepModel] = {}
    resources: dict[str, int] = {}
    weights: dict[str, float] = {}


class Chance:
    """Numbers from a seed (SplitMix64): the same on every machine."""

    def __init__(self, seed: int) -> None:
        self.state = seed & (2**64 - 1)

    def next(self) -> float:
        """Return a number in [0, 1)."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        word = self.state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        return ((word ^ (word >> 31)) >> 11) / (1 << 53)

    def spread(self, mean: float, kind: str) -> float:
        """Return a duration around a mean."""
        if kind == "constant":
            return mean
        if kind == "uniform":
            return mean * 2 * self.next()
        return -mean * math.log(1.0 - self.next())


class _Desk:
    """A resource while it is simulated: who is served, and who waits."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.busy = 0
        self.queue: deque[tuple[float, int, int, float]] = deque()
        self.most = 0
        self.served: list[tuple[float, float, float]] = []  # asked, begun, took


class Simulator:
    """One simulation."""

    def __init__(self, flow: Flow, model: Model, cases: int, seed: int) -> None:
        self.flow = flow
        self.model = model
        self.cases = cases
        self.seed = seed
        self.chance = Chance(seed)
        self.packed = Packed(flow.net, 4)
        self.desks = {
            name: _Desk(max(1, model.resources.get(name, 1)))
            for name in {*model.resources, *self._needed()}
        }
        self.events: list[tuple[float, int, int, int]] = []
        self.order = 0
        self.markings: list[int] = []
        self.begun: list[float] = []
        self.ended: dict[int, float] = {}
        self.failed: set[int] = set()
        self.work: dict[str, list[float]] = {}
        self.wait: dict[str, list[float]] = {}
        net = flow.net
        self.finish = _index(net.transitions, "completed stays")
        self.failure = _index(net.transitions, "failed stays")
        self.fails = {n for n, one in enumerate(net.transitions) if "fails" in one.name}

    def _needed(self) -> set[str]:
        return {one.resource for one in self.model.steps.values() if one.resource}

    def _step(self, number: int) -> StepModel | None:
        word = self.flow.words.get(number)
        if word is None or word.kind != STEP:
            return None
        steps = self.model.steps
        return steps.get(word.id) or steps.get(word.step) or steps.get("*") or StepModel()

    def run(self) -> Simulation:
        """Simulate all cases and sum up."""
        at = 0.0
        for case in range(self.cases):
            self.markings.append(self.packed.start)
            self.begun.append(at)
            self._plan(at, case, -1)
            at += self.chance.spread(self.model.every_seconds, self.model.arrivals)
        while self.events:
            at, _, case, transition = heapq.heappop(self.events)
            if transition >= 0:
                self._done(at, case, transition)
            self._move(at, case)
        return self._summed()

    def _plan(self, at: float, case: int, transition: int) -> None:
        self.order += 1
        heapq.heappush(self.events, (at, self.order, case, transition))

    def _move(self, at: float, case: int) -> None:
        """Do what takes no time, and begin steps."""
        packed = self.packed
        for _ in range(MOVES_MAX):
            marking = self.markings[case]
            enabled = members(packed.enabled(marking))
            if self.finish in enabled or self.failure in enabled:
                self.ended.setdefault(case, at)
                if self.failure in enabled:
                    self.failed.add(case)
                return
            if not enabled:
                return
            chosen = self._drawn(enabled)
            if chosen is None:
                return
            step = self._step(chosen)
            if step is None:
                self.markings[case] = marking + packed.change[chosen]
            else:
                # Its tokens are taken now and put when it is done.
                self.markings[case] = marking - packed.takes[chosen]
                self._begin(at, case, chosen, step)

    def _drawn(self, enabled: Sequence[int]) -> int | None:
        weights = [self._weight(number) for number in enabled]
        total = sum(weights)
        if total <= 0:
            return None
        left = self.chance.next() * total
        for number, weight in zip(enabled, weights, strict=True):
            left -= weight
            if left < 0:
                return number
        return enabled[-1]

    def _weight(self, number: int) -> float:
        """Return how likely a choice is: as the model says, else failures as
        their step says, and what goes wrong otherwise never."""
        name = self.flow.net.transitions[number].name
        if name in self.model.weights:
            return self.model.weights[name]
        if number in self.fails:
            return self._fails(name)
        return 0.0 if name.endswith(WRONG) else 1.0

    def _fails(self, name: str) -> float:
        step = name.rpartition(" fails")[0]
        model = self.model.steps.get(step) or self.model.steps.get("*")
        share = model.fails if model is not None else 0.0
        return share / (1 - share) if share < 1 else 1e9

    def _begin(self, at: float, case: int, transition: int, step: StepModel) -> None:
        took = self.chance.spread(step.seconds, step.spread)
        desk = self.desks.get(step.resource) if step.resource else None
        if desk is None:
            self._serve(at, at, case, (transition, took))
        elif desk.busy < desk.capacity:
            desk.busy += 1
            desk.served.append((at, at, took))
            self._serve(at, at, case, (transition, took))
        else:
            desk.queue.append((at, case, transition, took))
            desk.most = max(desk.most, len(desk.queue))

    def _serve(self, asked: float, at: float, case: int, what: tuple[int, float]) -> None:
        transition, took = what
        name = self.flow.words[transition].step
        if case >= self.cases * WARM_UP:
            self.work.setdefault(name, []).append(took)
            self.wait.setdefault(name, []).append(at - asked)
        self._plan(at + took, case, transition)

    def _done(self, at: float, case: int, transition: int) -> None:
        packed = self.packed
        self.markings[case] += packed.change[transition] + packed.takes[transition]
        step = self._step(transition)
        desk = self.desks.get(step.resource) if step is not None and step.resource else None
        if desk is None:
            return
        if not desk.queue:
            desk.busy -= 1
            return
        asked, other, following, took = desk.queue.popleft()
        desk.served.append((asked, at, took))
        self._serve(asked, at, other, (following, took))

    def _summed(self) -> Simulation:
        first = int(self.cases * WARM_UP)
        kept = [case for case in range(first, self.cases) if case in self.ended]
        times = [self.ended[case] - self.begun[case] for case in kept]
        ends = sorted(self.ended[case] for case in kept)
        gaps = [later - before for before, later in pairwise(ends)]
        rates = [3600 / mean for mean in _batches(gaps) if mean > 0]
        span = (self.begun[first] if first < self.cases else 0.0, max(self.begun, default=0.0))
        uses = [self._use(name, desk, span) for name, desk in sorted(self.desks.items())]
        steps = [
            StepUse(
                step=name,
                per_case=round(len(work) / max(1, self.cases - first), 4),
                work=round(sum(work) / len(work), 3),
                wait=round(sum(self.wait[name]) / len(work), 3),
            )
            for name, work in sorted(self.work.items())
        ]
        ordered = sorted(times)
        return Simulation(
            cases=self.cases,
            completed=len(self.ended) - len(self.failed),
            failed=len(self.failed),
            seed=self.seed,
            per_hour=estimate(rates),
            duration=estimate(_batches(times)),
            p50=round(_quantile(ordered, 0.5), 3),
            p95=round(_quantile(ordered, 0.95), 3),
            steps=steps,
            resources=uses,
            bottleneck=_bottleneck(uses, steps),
            stable=all(one.utilisation.mean < 0.98 for one in uses),
        )

    def _use(self, name: str, desk: _Desk, span: tuple[float, float]) -> ResourceUse:
        begin, end = span
        size = (end - begin) / BATCHES
        shares = []
        for batch in range(BATCHES if size > 0 else 0):
            low, high = begin + batch * size, begin + (batch + 1) * size
            busy = sum(max(0.0, min(high, at + took) - max(low, at)) for _, at, took in desk.served)
            shares.append(busy / (size * desk.capacity))
        waits = [at - asked for asked, at, _ in desk.served if asked >= begin]
        return ResourceUse(
            resource=name,
            capacity=desk.capacity,
            utilisation=estimate(shares),
            wait=estimate(_batches(waits)),
            waiting_most=desk.most,
        )


def _index(transitions: Sequence[object], name: str) -> int:
    return next((n for n, one in enumerate(transitions) if getattr(one, "name", "") == name), -1)


def _batches(values: Sequence[float]) -> list[float]:
    size = len(values) // BATCHES
    if size == 0:
        return list(values)
    return [sum(values[batch * size : (batch + 1) * size]) / size for batch in range(BATCHES)]


def estimate(means: Sequence[float]) -> Estimate:
    """Return a mean with the interval that the means of batches give."""
    if not means:
        return Estimate(mean=0.0, low=0.0, high=0.0)
    mean = sum(means) / len(means)
    spread = 0.0
    if len(means) > 1:
        variance = sum((one - mean) ** 2 for one in means) / (len(means) - 1)
        spread = T_95 * math.sqrt(variance / len(means))
    return Estimate(mean=round(mean, 4), low=round(mean - spread, 4), high=round(mean + spread, 4))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _bottleneck(uses: Sequence[ResourceUse], steps: Sequence[StepUse]) -> str:
    if uses:
        return max(uses, key=lambda one: one.utilisation.mean).resource
    longest = max(steps, key=lambda one: one.per_case * (one.work + one.wait), default=None)
    return "" if longest is None else longest.step


def as_flow(net: Net, file: str) -> Flow | None:
    """Return a workflow net as a flow whose transitions are all steps, or None
    if it is not one."""
    ends = workflow_ends(net)
    if ends is None or net.unsupported is not None:
        return None
    stays = Transition("completed stays", "completed stays", {ends[1]: 1}, {ends[1]: 1})
    words = {
        number: Word(step=one.name, text=one.name, id=one.id)
        for number, one in enumerate(net.transitions)
    }
    whole = msgspec.structs.replace(net, transitions=(*net.transitions, stays))
    return Flow(net=whole, file=file, words=words, waits={})


def simulate(flow: Flow, model: Model, cases: int, seed: int) -> Simulation:
    """Return what comes of so many cases of a workflow."""
    return Simulator(flow, model, cases, seed).run()
