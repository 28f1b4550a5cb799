"""Fork: what would have happened, had something been different.

The run's code is driven over a journal made on the spot. A step whose request
is the same takes its recorded result; a changed pure step, policy question or
read is done again; an effect is never done: its preview or its recorded result
stands in, and the report says so. Nothing is written to the log.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel import errors
from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import MissingError, SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.pointer import diff, get, put, shown
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.determinism.contract import (
    Change,
    ChangeInvalidError,
    Difference,
    Fork,
    ForkStuckError,
)
from agentsquad.runtime.determinism.hermetic import recompute
from agentsquad.runtime.determinism.money import totals
from agentsquad.runtime.determinism.past import Past, load
from agentsquad.runtime.engine import approval as approvals
from agentsquad.runtime.engine.command import (
    Ask,
    Call,
    Child,
    Command,
    Reply,
    Sleep,
    WaitSignal,
    fingerprint,
)
from agentsquad.runtime.engine.contract import NonDeterministicError, Workflow
from agentsquad.runtime.engine.decider import End, Instance, plain
from agentsquad.runtime.engine.door import CallPath, Step, World
from agentsquad.runtime.engine.interceptors.authorize import ask as ask_policy
from agentsquad.runtime.engine.links import CONTINUED, successor
from agentsquad.runtime.engine.scheduler import order
from agentsquad.runtime.engine.state import END_EVENTS

PEOPLE = ("same", "approve", "reject")
NEVER = 1 << 62  # later than everything recorded
GENERATE = "models.generate"
ROW_MAX = 100  # how often a child may go on as new more often than it did


class Forker:
    """One fork of one run and the runs below it."""

    def __init__(self, world: World, *, people: str = "same", free: bool = False) -> None:
        if people not in PEOPLE:
            raise ChangeInvalidError(f"people answer one of {', '.join(PEOPLE)}, not {people!r}")
        self.world = world
        self.people = people
        self.free = free  # take models to say what they said, instead of asking again
        self.reused = 0
        self.rerun = 0
        self.suppressed: list[Difference] = []
        self.differences: list[Difference] = []
        self.decisions: list[Difference] = []
        self.effects_was: list[tuple[str, Any]] = []
        self.effects_now: list[tuple[str, Any]] = []

    async def fork(self, run: str, changes: list[Change], at: str | None = None) -> Fork:
        """Drive the run with changes; `at` makes their paths relative to one
        step's output."""
        past = await load(self.world.store, run)
        if past is None:
            raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list")
        return await self.fork_past(past, changes, at)

    async def fork_past(self, past: Past, changes: list[Change], at: str | None = None) -> Fork:
        """Drive a run that has been read already."""
        placed = place(past, changes, at)
        status, output, error = await self.drive(past, past.input, placed)
        self.effects_was += past.all_effects()
        return Fork(
            run=past.run,
            changes=changes,
            status=status,
            was_status=past.status,
            output=output,
            was_output=past.output,
            output_changed=output != past.output,
            reused=self.reused,
            rerun=self.rerun,
            suppressed=self.suppressed,
            differences=self.differences,
            decisions=self.decisions,
            money=totals(self.effects_was, self.effects_now),
            error=error,
        )

    async def drive(
        self, past: Past, value: Any, changes: dict[str, list[tuple[str, Any]]]
    ) -> tuple[str, Any, Any]:
        """Run one run's code to its end; return (status, output, error)."""
        workflow: Workflow = self.world.registry.workflow(past.workflow)
        instance = Instance(past.run, workflow, self.world.registry)
        log = Journal(past)
        value = _changed(value, changes.get("input", ()))
        started = {**past.started, "input": value}
        try:
            instance.apply(log.event("run.started", started, past.events[0]))
        except msgspec.ValidationError as error:
            raise ChangeInvalidError(
                f"{past.workflow} would not take that input: {error}",
                hint="write a value of the kind that stands there now",
            ) from error
        told = _told(past)
        while instance.end is None:
            if not instance.commands and told:
                self.tell(past, log, instance, told.pop(0))
                continue
            if not instance.commands:
                raise ForkStuckError(f"run {past.run} waits for nothing and has not ended")
            command = min(instance.commands.values(), key=lambda c: turn(past, log, c))
            if told and told[0].seq < turn(past, log, command)[0]:
                self.tell(past, log, instance, told.pop(0))
                continue
            for event in await self.answer(past, log, command, changes):
                instance.apply(event)
        return told_by(instance.end)

    async def _to_the_end(
        self, past: Past, value: Any, changes: dict[str, list[tuple[str, Any]]]
    ) -> tuple[str, Any, Any]:
        """Run a child, and those that go on for it as new, to the end of the
        row."""
        came = await self.drive(past, value, changes)
        row = iter(past.row)
        one = past
        for _ in range(len(past.row) + ROW_MAX):
            if came[0] != "continued":
                return came
            actor = past.events[0].actor
            one = next(row, None) or Past.blank(successor(one.run), past.workflow, came[1], actor)
            came = await self.drive(one, came[1], {})
        raise ForkStuckError(f"run {past.run} goes on as new and comes to no end")

    async def answer(
        self, past: Past, log: Journal, command: Command, changes: dict[str, list[tuple[str, Any]]]
    ) -> list[Event]:
        """Return the events that give a command its result."""
        recorded = past.resolved.get(command.position)
        same = recorded is not None and past.prints.get(command.position) == fingerprint(command)
        edits = changes.get(command.position, ())
        if isinstance(command, Reply):
            return [self.reply(past, log, command)]
        if recorded is not None and recorded.payload.get("intervention") and _waits(command):
            return [log.event(recorded.type, recorded.payload, recorded)]
        if isinstance(command, Sleep):
            return [log.event("timer.fired", {"position": command.position}, recorded)]
        if isinstance(command, WaitSignal):
            mail = log.mail(command)
            if mail is not None and (recorded is None or mail.seq < recorded.seq):
                log.post.remove(mail)
                return [log.event(mail.type, mail.payload, mail)]
            if command.due_ms is None:
                raise ForkStuckError(f"nobody sent the signal {command.name!r}")
            return [log.event("timer.fired", {"position": command.position}, recorded)]
        if isinstance(command, Ask):
            return self.asked(past, log, command, recorded)
        as_then = same and not edits and not _below(command, changes)
        if as_then and recorded is not None and not self._supposes(past, command):
            self.reused += 1
            self._count_reused(past, command)
            moved = past.hands.get(command.position, ())
            return [log.event(one.type, one.payload, one) for one in (*moved, recorded)]
        if isinstance(command, Child):
            return [await self.child(past, log, command, changes, edits)]
        return [await self.called(past, log, command, recorded if same else None, edits)]

    def tell(self, past: Past, log: Journal, instance: Instance, event: Event) -> None:
        """Let the run hear what it was told from outside; what does not fit the
        way it goes now is left out."""
        try:
            instance.apply(log.event(event.type, event.payload, event))
        except NonDeterministicError:
            body = event.payload
            name = str(body.get("name", event.type))
            self._note(past, body.get("position", ""), name, "new", now="not taken")

    def reply(self, past: Past, log: Journal, command: Reply) -> Event:
        """Return the answer to an update, and note where it is another."""
        kind = "update.failed" if "error" in command.came else "update.completed"
        body = {"position": command.position, "key": command.key, "name": command.name}
        old = past.answers.get(command.position)
        was = {} if old is None else old.payload
        for pointer, before, now in diff(was.get("output"), command.came.get("output")):
            self._note(past, command.position, command.name, "output", pointer, before, now)
            break
        return log.event(kind, {**body, **command.came}, old)

    def _supposes(self, past: Past, command: Command) -> bool:
        """Whether people are supposed to have said something else below."""
        if self.people == "same" or not isinstance(command, Child):
            return False
        below = past.children.get(command.position)
        return below is not None and below.asked_people

    def _count_reused(self, past: Past, command: Command) -> None:
        if isinstance(command, Child):
            below = past.children.get(command.position)
            if below is not None:
                self.effects_now += below.all_effects()
        elif isinstance(command, Call) and command.position in past.effects:
            self.effects_now.append(past.effects[command.position])

    async def child(
        self,
        past: Past,
        log: Journal,
        command: Child,
        changes: dict[str, list[tuple[str, Any]]],
        edits: Any,
    ) -> Event:
        """Fork a child run, over its own recorded journal if it had one at this
        place."""
        below = past.children.get(command.position)
        if below is None or below.workflow != command.workflow:
            run = f"{past.run}/{command.position}"
            below = Past.blank(run, command.workflow, command.input, past.events[0].actor)
            self._note(past, command.position, command.name, "new", now=command.input)
        prefix = f"{command.position}/"
        inner = {k.removeprefix(prefix): v for k, v in changes.items() if k.startswith(prefix)}
        status, output, error = await self._to_the_end(below, command.input, inner)
        output = _changed(output, edits)
        was = below.last.output
        for pointer, old, new in diff(was, output):
            self._note(past, command.position, command.name, "output", pointer, old, new)
            break
        body = {
            "position": command.position,
            "name": command.name,
            "workflow": command.workflow,
            "input": command.input,
            "child": below.run,
        }
        if status == "completed":
            return log.event("step.completed", {**body, "output": output}, None)
        failure = error or {"class": "ConflictError", "code": "run.cancelled", "message": status}
        return log.event("step.failed", {**body, "error": failure}, None)

    async def called(
        self, past: Past, log: Journal, command: Call, recorded: Event | None, edits: Any
    ) -> Event:
        """Do a changed call again, or let something stand in for an effect."""
        action = self.world.registry.action(command.action)
        effect = action.spec.effect
        body: dict[str, Any] = {
            "position": command.position,
            "name": command.name,
            "action": command.action,
            "effect": effect.value,
            "input": command.input,
        }
        kinds = (
            ("effect.confirmed", "effect.failed")
            if effect.outward
            else ("step.completed", "step.failed")
        )
        error: SquadError | None = None
        if recorded is not None:  # only its output is edited
            output = recorded.payload.get("output")
        elif effect is Effect.PURE:
            self.rerun += 1
            output, error = await recompute(action, command.input, self.world.blobs)
        elif effect.outward:
            output, error = await self.stand_in(past, command)
        elif self.free and command.action == GENERATE and not _by_rule(command):
            output = self._as_then(past, command)
        else:
            self.rerun += 1
            output, error = await self.read_again(past, command)
        if error is not None:
            self._note(past, command.position, command.name, "output", "/error", None, error.code)
            return log.event(kinds[1], {**body, "error": errors.record(error)}, None)
        output = _changed(output, edits)
        old = past.resolved.get(command.position)
        was = old.payload.get("output") if old is not None else None
        for pointer, before, now in diff(was, output):
            what = "new" if old is None else "output"
            self._note(past, command.position, command.name, what, pointer, before, now)
            if command.action == "policy.decide":
                self.decisions.append(self.differences[-1])
            break
        return log.event(kinds[0], {**body, "output": output}, None)

    async def stand_in(self, past: Past, command: Call) -> tuple[Any, SquadError | None]:
        """Return what an effect would have given; policy is asked, the world is
        not."""
        registry = self.world.registry
        action = registry.action(command.action)
        step = Step(
            action, command.input, actor=past.actor, run=past.run, position=command.position
        )
        step.facts, step.approvals = command.facts, command.approvals
        decision = ask_policy(self.world, step)
        line = Difference(
            run=past.run,
            position=command.position,
            name=command.name,
            what="suppressed",
            now=command.input,
        )
        if not decision.allow:
            return None, errors.DeniedError(decision.reason, code="policy.denied")
        self.suppressed.append(line)
        self.effects_now.append((command.action, command.input))
        if action.spec.preview:
            return await recompute(registry.action(action.spec.preview), command.input)
        old = past.resolved.get(command.position)
        if (
            old is not None
            and old.payload.get("output") is not None
            and past.prints.get(command.position, ("",))[0] == fingerprint(command)[0]
        ):
            return old.payload["output"], None
        raise ForkStuckError(
            f"step {command.position} would call {command.action}; a fork never does",
            hint=f"give {command.action} a preview action, or --at {command.position} --set …",
        )

    async def read_again(self, past: Past, command: Call) -> tuple[Any, SquadError | None]:
        """Do a read or a policy question again, in the name of whoever asked
        for the run."""
        path: CallPath = self.world.ports.get(CallPath)
        action = self.world.registry.action(command.action)
        step = Step(action, command.input, actor=past.actor)
        try:
            return plain(await path.run(step)), None
        except SquadError as error:
            return None, error

    def _as_then(self, past: Past, command: Call) -> Any:
        """Return what a model said at this place; it is taken to say the same
        again."""
        old = past.resolved.get(command.position)
        if old is None or old.payload.get("output") is None:
            raise ForkStuckError(f"step {command.position} would ask a model anew")
        self._note(past, command.position, command.name, "assumed")
        return old.payload["output"]

    def asked(self, past: Past, log: Journal, command: Ask, recorded: Event | None) -> list[Event]:
        """Answer for a person: as then, or as the caller supposes."""
        body = approvals.request(past.run, command, self.world.policy.revision)
        request = log.event("approval.requested", body, None)
        yes = recorded.type == "approval.given" if recorded is not None else True
        approver = "person:supposed"
        if recorded is not None and recorded.payload.get("approver"):
            approver = recorded.payload["approver"]
        reason = "supposed in a fork"
        if self.people != "same":
            yes = self.people == "approve"
        elif recorded is not None:
            reason = str(recorded.payload.get("reason", reason))
        if recorded is None:
            self._note(
                past,
                command.position,
                command.name,
                "approval",
                now="assumed approved" if yes else "assumed refused",
            )
        answer = {
            "position": command.position,
            "binding": body["binding"],
            "approver": approver,
            "reason": reason,
            "expires_ms": command.expires_ms,
        }
        return [
            request,
            log.event("approval.given" if yes else "approval.refused", answer, recorded),
        ]

    def _note(  # noqa: PLR0913 - the fields of a Difference
        self,
        past: Past,
        position: str,
        name: str,
        what: Any,
        field: str | None = None,
        was: Any = None,
        now: Any = None,
    ) -> None:
        self.differences.append(
            Difference(
                run=past.run,
                position=position,
                name=name,
                what=what,
                field=field,
                was=shown(was),
                now=shown(now),
            )
        )


def told_by(end: End) -> tuple[str, Any, Any]:
    """Return (status, output, error) of a run's end; the output of one that
    goes on as new is what it hands on."""
    status = END_EVENTS[end.type]
    output = end.payload.get("input" if end.type == CONTINUED else "output")
    return status, output, end.payload.get("error")


class Journal:
    """Events made on the spot, numbered like a stream of their own."""

    def __init__(self, past: Past) -> None:
        self._stream = f"run/{past.run}"
        self._count = 0
        self._at = past.events[0].at if past.events else "1970-01-01T00:00:00.000Z/0000"
        self.post = list(past.signals)

    def mail(self, command: WaitSignal) -> Event | None:
        """Return the first signal of a name that has not been delivered yet."""
        return next((m for m in self.post if m.payload["name"] == command.name), None)

    def event(self, kind: str, payload: Any, like: Event | None) -> Event:
        """Return the next event; its time is that of the recorded one it stands
        for."""
        self._count += 1
        if like is not None:
            self._at = max(self._at, like.at)
        return Event(
            seq=self._count,
            stream=self._stream,
            stream_seq=self._count,
            type=kind,
            version=1,
            at=self._at,
            actor=like.actor if like is not None else "service:fork",
            cause=None,
            correlation=None,
            payload_digest="",
            prev=None,
            payload=msgspec.to_builtins(payload),
        )


def place(past: Past, changes: list[Change], at: str | None) -> dict[str, list[tuple[str, Any]]]:
    """Return changes by where they apply: "input" or a position, children's
    after a slash."""
    placed: dict[str, list[tuple[str, Any]]] = {}
    for change in changes:
        path = change.path.lstrip("/")
        if at is not None:
            target, pointer = at, path
        else:
            target, _, pointer = path.partition("/")
        if target != "input" and not past.knows(target):
            raise ChangeInvalidError(
                f"{change.path!r} names no step of run {past.run}",
                hint=f"input/… or POSITION/…; squad runs show {past.run} lists positions",
            )
        placed.setdefault(target, []).append((f"/{pointer}" if pointer else "", change))
    return placed


def _told(past: Past) -> list[Event]:
    """Return what a run heard from outside that no command of it asks for, in
    order: updates, a stop, and steps that stood still to the end."""
    still = [one for p, moved in past.hands.items() if p not in past.resolved for one in moved]
    stop = [past.cancel] if past.cancel else []
    return sorted([*past.told, *stop, *still], key=lambda one: one.seq)


def _waits(command: Command) -> bool:
    return isinstance(command, (Sleep, WaitSignal, Ask))


def _by_rule(command: Call) -> bool:
    return str(command.input.get("model", "")).startswith("rules/")


def _changed(value: Any, edits: Any) -> Any:
    for pointer, change in edits:
        new = change.value
        if pointer:
            old = _existing(value, pointer)
            if isinstance(old, str) and change.text is not None and not isinstance(new, str):
                new = change.text  # an account number stays a text
        value = put(value, pointer, new)
    return value


def _existing(value: Any, pointer: str) -> Any:
    """Return what a change replaces; a field that is not there is a slip."""
    try:
        return get(value, pointer)
    except MissingError as error:
        above, _, name = pointer.rpartition("/")
        try:
            there = get(value, above)
        except MissingError:
            there = {}
        names = list(there) if isinstance(there, dict) else []
        raise ChangeInvalidError(f"there is no {pointer}", hint=nearest(name, names)) from error


def _below(command: Command, changes: dict[str, Any]) -> bool:
    return any(key.startswith(f"{command.position}/") for key in changes)


def turn(past: Past, log: Journal, command: Command) -> tuple[int, int, tuple[int, ...]]:
    """Return what sorts commands: as recorded; then steps, then times by when
    they are due."""
    known = [past.resolved.get(command.position), past.answers.get(command.position)]
    due = 0
    if isinstance(command, WaitSignal):
        known.append(log.mail(command))
    if isinstance(command, (Sleep, WaitSignal)):
        due = command.due_ms or NEVER
    seq = min((event.seq for event in known if event is not None), default=NEVER)
    return (seq, due, order(command.position))
