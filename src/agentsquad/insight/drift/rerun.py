"""Driving old runs again with some factors as they were and others as they are.

Laws: no effect is ever done and nothing is written; a factor that stays old
answers as recorded wherever the request is the one recorded; a factor that is
new is asked again, always. Where neither can be had, what stands in is counted,
or the run is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from agentsquad.insight.drift.contract import Factor
from agentsquad.insight.drift.population import BRIEF, DECIDE, GENERATE, MODEL, PROMPT, QUERY, TURN
from agentsquad.kernel import errors, hashing
from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import DeniedError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.money import Money
from agentsquad.kernel.policy import Decision, PolicyEngine, Question
from agentsquad.runtime.determinism.contract import ForkStuckError
from agentsquad.runtime.determinism.fork import Forker, Journal, told_by, turn
from agentsquad.runtime.determinism.hermetic import recompute
from agentsquad.runtime.determinism.past import Past
from agentsquad.runtime.engine.command import Ask, Call, Child, Command, fingerprint
from agentsquad.runtime.engine.decider import Instance, plain
from agentsquad.runtime.engine.door import CallPath, Step, World

STEPS_MAX = 20_000
Answer = tuple[str, dict[str, Any]]  # kind of the event that ends a step, and its body


class Memory:
    """What was answered in some runs, found again by what was asked."""

    def __init__(self) -> None:
        self._answers: dict[str, Event] = {}
        self.briefs: dict[str, Any] = {}
        self.models: dict[str, str] = {}

    def read(self, events: Iterable[Event]) -> None:
        """Take in the steps of a run; later answers replace earlier ones."""
        planned: dict[str, Mapping[str, Any]] = {}
        for event in events:
            body = event.payload or {}
            if event.type == "effect.planned":
                planned[body["position"]] = body
            elif event.type in ("effect.confirmed", "step.completed", "step.failed"):
                asked = planned.get(body.get("position", ""), body)
                if "action" in asked and "input" in asked:
                    self._answers[ask_key(asked["action"], asked["input"])] = event
                if body.get("action") == BRIEF and body.get("output"):
                    self.briefs[body["output"]["name"]] = body["output"]
                for usage in body.get("usage") or ():
                    if usage.get("kind") == "model" and "model" in (body.get("input") or {}):
                        named = f"{usage.get('provider')}/{usage.get('model')}"
                        self.models[body["input"]["model"]] = named

    def answer(self, action: str, value: Any) -> Event | None:
        """Return the event that answered this question, wherever it was
        asked."""
        return self._answers.get(ask_key(action, value))


def ask_key(action: str, value: Any) -> str:
    """Return the digest of a question."""
    return hashing.digest([action, value])


class Live(Protocol):
    """What is installed now, asked at most once the same thing."""

    world: World

    async def ask(self, step: Step) -> Answer:
        """Call a pure action or a read; return how its step would end."""
        ...


class Asker:
    """Asks what is installed and keeps the answers, so that all arms see the
    same ones."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._kept: dict[str, Answer] = {}
        self.spent: list[dict[str, Any]] = []

    async def ask(self, step: Step) -> Answer:
        """Call a pure action or a read; return how its step would end."""
        key = hashing.digest([step.action.name, step.input, str(step.actor), dict(step.facts)])
        if key not in self._kept:
            self._kept[key] = await self._asked(step)
            self.spent += step.usage
        return self._kept[key]

    def bill(self) -> list[str]:
        """Return what asking models again has cost, as notes."""
        spent: dict[str, int] = {}
        for usage in self.spent:
            if usage.get("cost_micros"):
                currency = str(usage.get("currency", "USD"))
                spent[currency] = spent.get(currency, 0) + usage["cost_micros"]
        return [
            f"asking models again cost {Money(micros, currency).decimal()} {currency}"
            for currency, micros in sorted(spent.items())
        ]

    async def _asked(self, step: Step) -> Answer:
        effect = step.action.spec.effect
        if effect.outward:
            raise ForkStuckError(f"{step.action.name} changes the world; it is never done again")
        error: SquadError | None
        if effect is Effect.PURE:
            output, error = await recompute(step.action, step.input, self.world.blobs)
        else:
            path: CallPath = self.world.ports.get(CallPath)
            try:
                output, error = plain(await path.run(step)), None
            except SquadError as failed:
                output, error = None, failed
        body: dict[str, Any] = {"usage": step.usage} if step.usage else {}
        if error is not None:
            return "step.failed", {**body, "error": errors.record(error)}
        return "step.completed", {**body, "output": output}


class Arm(msgspec.Struct, kw_only=True):
    """Which factors are new; who decides where policy is old, and whether that
    is the engine of then.

    Every arm goes by the definition of now: the code installed, or `manifest`,
    the input of a run of now, for runs of an applied workflow.
    """

    new: frozenset[Factor]
    policy: PolicyEngine
    exact: bool = True
    reads: bool = False
    manifest: Mapping[str, Any] | None = None


class Rerunner(Forker):
    """Drives one run, and the runs below it, under one arm."""

    def __init__(self, live: Live, arm: Arm, then: Memory, now: Memory) -> None:
        super().__init__(live.world)
        self.live = live
        self.arm = arm
        self.then = then
        self.now = now
        self.events: list[Event] = []
        self.stand_ins = 0
        self._steps = 0

    async def again(self, past: Past) -> list[Event]:
        """Return the events of the run as it goes under this arm."""
        value = past.input
        if self.arm.manifest is not None:
            value = {**self.arm.manifest, "input": past.input["input"]}
        await self.drive(past, value, {})
        return self.events

    async def drive(self, past: Past, value: Any, changes: Any) -> tuple[str, Any, Any]:
        """Run one run's code to its end; return (status, output, error)."""
        workflow = self.world.registry.workflow(past.workflow)
        instance = Instance(past.run, workflow, self.world.registry)
        log = Journal(past)
        started = {**past.started, "input": value}
        self._tell(instance, log.event("run.started", started, past.events[0]))
        stop = past.cancel
        while instance.end is None:
            self._steps += 1
            if not instance.commands or self._steps > STEPS_MAX:
                raise ForkStuckError(f"run {past.run} comes to no end")
            command = min(instance.commands.values(), key=lambda c: turn(past, log, c))
            if stop is not None and stop.seq < turn(past, log, command)[0]:
                self._tell(instance, log.event(stop.type, stop.payload, stop))
                stop = None
                continue
            for event in await self.answer(past, log, command, {}):
                self._tell(instance, event)
        end = instance.end
        self.events.append(log.event(end.type, end.payload, past.events[-1]))
        return told_by(end)

    def _tell(self, instance: Instance, event: Event) -> None:
        self.events.append(event)
        instance.apply(event)

    async def answer(self, past: Past, log: Journal, command: Command, changes: Any) -> list[Event]:
        """Return the events that give a command its result."""
        recorded = past.resolved.get(command.position)
        if isinstance(command, Call):
            if past.prints.get(command.position) != fingerprint(command):
                recorded = None
            return [await self.step(past, log, command, recorded)]
        if isinstance(command, Ask):
            if recorded is None:
                self.stand_ins += 1
            return self.asked(past, log, command, recorded)
        if isinstance(command, Child):
            return [await self.child(past, log, command, {}, ())]
        return await super().answer(past, log, command, {})

    async def step(self, past: Past, log: Journal, command: Call, recorded: Event | None) -> Event:
        """Answer one call as this arm has it."""
        action = self.world.registry.action(command.action)
        outward = action.spec.effect.outward
        step = Step(action, command.input, actor=past.actor)
        step.facts = dict(command.facts)
        decision, denied = self._decided(past, step, command, recorded)
        if denied is not None:
            kind, body = "step.failed", {"error": errors.record(denied)}
        elif command.action in (DECIDE, QUERY):
            kind, body = await self._rule(step, recorded)
        elif command.action == BRIEF:
            kind, body = await self._brief(step, recorded)
        elif command.action == GENERATE:
            kind, body = await self._model(step, recorded)
        elif outward:
            kind, body = await self._effect(step, recorded)
        else:
            kind, body = await self._tool(past, step, recorded)
        if outward:
            kind = kind.replace("step.completed", "effect.confirmed")
        told = {
            **body,
            "position": command.position,
            "name": command.name,
            "action": command.action,
            "effect": action.spec.effect.value,
            "input": command.input,
        }
        if decision is not None:
            told["decision"] = plain(decision)
        if outward and denied is None:
            self.events.append(log.event("effect.planned", {**told, "key": ""}, recorded))
            told.pop("decision", None)
        return log.event(kind, told, recorded)

    def _decided(
        self, past: Past, step: Step, command: Call, recorded: Event | None
    ) -> tuple[Any, SquadError | None]:
        """Return what policy says to a call, and the refusal if it is one."""
        spec = step.action.spec
        if spec.effect is Effect.PURE or command.action in (DECIDE, QUERY):
            return None, None
        if recorded is not None and "policy" not in self.arm.new:
            planned = past.planned(command.position) or {}
            said = recorded.payload.get("decision") or planned.get("decision")
            if said is not None:
                return said, None
        facts = {**step.facts, "run": past.run}
        if spec.effect.outward:
            facts["approvals"] = [
                {"approver": one.approver, "position": one.position} for one in command.approvals
            ]
        decision = self._engine().decide(
            Question(
                actor=str(step.actor),
                roles=step.actor.roles,
                action=spec.name,
                effect=spec.effect.value,
                input=step.input,
                facts=facts,
            )
        )
        if decision.allow:
            return decision, None
        denied = DeniedError(
            f"{step.actor} may not call {spec.name}: {decision.reason}",
            code="policy.denied",
            details={"action": spec.name, "clauses": list(decision.clauses)},
        )
        return decision, denied

    def _engine(self) -> PolicyEngine:
        """Return who decides; today's rules stand in where those of then are
        not kept."""
        if "policy" in self.arm.new:
            return self.world.policy
        if not self.arm.exact:
            self.stand_ins += 1
        return self.arm.policy

    async def _rule(self, step: Step, recorded: Event | None) -> Answer:
        if "policy" not in self.arm.new:
            known = recorded or self.then.answer(step.action.name, step.input)
            if known is not None:
                return known.type, _ending(known)
        engine, value = self._engine(), step.input
        if step.action.name == QUERY:
            try:
                return "step.completed", {
                    "output": plain(engine.query(value["path"], value["input"]))
                }
            except SquadError as error:
                return "step.failed", {"error": errors.record(error)}
        asked = self.world.registry.actions.get(value["action"])
        decision: Decision = engine.decide(
            Question(
                actor=str(step.actor),
                roles=step.actor.roles,
                action=value["action"],
                effect=asked.spec.effect.value if asked else "write",
                input=value.get("input"),
                facts=value.get("facts") or {},
            )
        )
        return "step.completed", {"output": plain(decision)}

    async def _brief(self, step: Step, recorded: Event | None) -> Answer:
        """Answer with the agent's prompt, model and tools, each as it was or
        is."""
        name = step.input["agent"]
        was = recorded.payload.get("output") if recorded is not None else None
        was = was or self.then.briefs.get(name)
        now = self.now.briefs.get(name)
        if was is None or now is None:
            kind, body = await self.live.ask(step)
            if kind != "step.completed":
                return kind, body
            was, now = was or body["output"], now or body["output"]
        return "step.completed", {"output": blended(was, now, self.arm.new)}

    async def _model(self, step: Step, recorded: Event | None) -> Answer:
        if "model" not in self.arm.new:
            known = recorded or self.then.answer(GENERATE, step.input)
            if known is not None:
                return known.type, _ending(known)
            # An alias may stand for another model now; the log says for which.
            named = self.then.models.get(step.input["model"], step.input["model"])
            kind, body = await self._generate(step, named)
            if kind == "step.completed" or named == step.input["model"]:
                return kind, body
        return await self._generate(step, step.input["model"])

    async def _generate(self, step: Step, model: str) -> Answer:
        asked = Step(step.action, {**step.input, "model": model}, actor=step.actor)
        return await self.live.ask(asked)

    async def _tool(self, past: Past, step: Step, recorded: Event | None) -> Answer:
        """Answer for an action that reads or computes.

        What a workflow itself reads moves with time (balances, histories), so
        it stays as recorded unless asked for; what an agent calls, and what
        only computes, is done again.
        """
        pure = step.action.spec.effect is Effect.PURE
        again = pure or self.arm.reads or past.workflow == TURN
        if "tool" not in self.arm.new or not again:
            known = recorded or self.then.answer(step.action.name, step.input)
            if known is None and not again:
                known = self.now.answer(step.action.name, step.input)
            if known is not None:
                return known.type, _ending(known)
            self.stand_ins += 1
        return await self.live.ask(step)

    async def _effect(self, step: Step, recorded: Event | None) -> Answer:
        """Let something stand in for an effect: its record, its preview, or
        what the same call gave elsewhere."""
        if recorded is not None and recorded.type == "effect.confirmed":
            return "step.completed", _ending(recorded)
        if recorded is not None and not _refused(recorded):
            return "effect.failed", _ending(recorded)
        preview = step.action.spec.preview
        if preview:
            return await self.live.ask(Step(self.world.registry.action(preview), step.input))
        for memory in (self.then, self.now):
            known = memory.answer(step.action.name, step.input)
            if known is not None and known.type == "effect.confirmed":
                self.stand_ins += 1
                return "step.completed", _ending(known)
        raise ForkStuckError(
            f"{step.action.name} would be called with what it was never called with",
            hint=f"give {step.action.name} a preview action",
        )


def _refused(event: Event) -> bool:
    return bool((event.payload.get("error") or {}).get("code") == "policy.denied")


def _ending(event: Event) -> dict[str, Any]:
    """Return how a recorded step ended, without where it stood."""
    return {
        name: event.payload[name] for name in ("output", "error", "usage") if name in event.payload
    }


def blended(was: Mapping[str, Any], now: Mapping[str, Any], new: frozenset[Factor]) -> Any:
    """Return a briefing with each part from then or from now."""
    spec = dict(was["spec"])
    for factor, fields in (("model", MODEL), ("prompt", PROMPT)):
        if factor in new:
            for name in fields:
                spec.pop(name, None)
                if name in now["spec"]:
                    spec[name] = now["spec"][name]
    tools = was.get("tools") or []
    if "tool" in new:
        tools = now.get("tools") or []
        spec["tools"] = now["spec"].get("tools") or []
    return {**was, "spec": spec, "tools": tools, "digest": hashing.digest(spec)}
