"""Answers: the questions that wait for a person, and what a person may answer.

Apart from the shell because it is where human authority enters: only a person,
never the requester, and only as policy allows (ARCHITECTURE section 5).
"""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, DeniedError, InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import PolicyEngine, Question
from agentsquad.kernel.ports import EventStore
from agentsquad.runtime.engine.contract import InboxItem
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import END_EVENTS

TYPES = (
    "approval.requested",
    "approval.given",
    "approval.refused",
    "timer.fired",
    "run.cancel_requested",
    *END_EVENTS,
)


class Questions:
    """The open questions of all runs, followed from where it last read."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._after = 0
        self._open: dict[str, dict[str, Event]] = {}

    async def open(self) -> list[Event]:
        """Return approval.requested events without an answer, oldest first."""
        while batch := await self._store.read(after=self._after, limit=5000, types=TYPES):
            for event in batch:
                self._fold(event)
            self._after = batch[-1].seq
        asked = [event for run in self._open.values() for event in run.values()]
        return sorted(asked, key=lambda event: event.seq)

    def _fold(self, event: Event) -> None:
        body = event.payload or {}
        if event.type == "approval.requested":
            self._open.setdefault(event.stream, {})[body["position"]] = event
        elif "position" in body and event.stream in self._open:
            self._open[event.stream].pop(body["position"], None)
        elif event.type in END_EVENTS or event.type == "run.cancel_requested":
            self._open.pop(event.stream, None)
        if not self._open.get(event.stream, True):
            del self._open[event.stream]


class Answers:
    """The part of an engine that people talk to."""

    world: World
    _questions: Questions | None = None

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended."""
        raise NotImplementedError

    async def inbox(self, run_id: str | None = None) -> list[InboxItem]:
        """Return the questions that wait, oldest first."""
        if self._questions is None:
            self._questions = Questions(self.world.store)
        found = [inbox_item(event) for event in await self._questions.open()]
        if run_id is None:
            return found
        return [one for one in found if f"{one.run}/".startswith(f"{run_id}/")]

    async def answer(self, item: str, *, approve: bool, approver: str, reason: str) -> None:
        """Answer a question as a person; policy and segregation of duties are
        checked."""
        found = await self._question(item)
        who = Actor.parse(approver)
        if who.kind != "person":
            raise DeniedError("only a person can answer", code="approval.person")
        if approver == found.requester:
            raise DeniedError(
                f"{approver} asked for it and may not approve it", code="approval.segregation"
            )
        if not reason.strip():
            raise InvalidError(
                "an answer needs a reason", code="approval.reason", hint="--reason …"
            )
        _may_answer(await self.policy_of(found.run), found, who)
        await self.tell(
            found.run,
            "approval.given" if approve else "approval.refused",
            {
                "position": found.position,
                "binding": found.binding,
                "approver": approver,
                "reason": reason,
                "expires_ms": found.expires_ms,
            },
            approver,
        )

    async def _question(self, text: str) -> InboxItem:
        """Return the open question that `text` names or begins."""
        waiting = await self.inbox()
        found = [one for one in waiting if one.id.startswith(text)] if text else []
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidError(
                f"{text!r} is the beginning of {len(found)} questions",
                code="approval.ambiguous",
                hint=f"one of: {', '.join(one.id for one in found[:5])}",
            )
        for kind in ("approval.given", "approval.refused"):
            for event in await self.world.store.read(types=[kind], limit=100_000):
                body = event.payload or {}
                if text and str(body.get("binding")).startswith(f"sha256:{text}"):
                    said = "approved" if kind == "approval.given" else "refused"
                    raise ConflictError(
                        f"{text} was {said} by {body['approver']} at {event.time}",
                        code="approval.answered",
                    )
        raise MissingError(
            f"no open question {text!r}", code="approval.missing", hint="squad inbox lists them"
        )

    async def policy_of(self, run: str) -> PolicyEngine:
        """Return the rules that a run is judged by."""
        return self.world.policy


def _may_answer(policy: PolicyEngine, item: InboxItem, who: Actor) -> None:
    decision = policy.decide(
        Question(
            actor=str(who),
            roles=who.roles,
            action="approvals.give",
            effect="write",
            input={"action": item.action, "input": item.input, "because": item.because},
            facts={"roles": list(item.roles), "requester": item.requester, "run": item.run},
        )
    )
    if not decision.allow:
        raise DeniedError(
            f"{who} may not answer this: {decision.reason}",
            code="policy.denied",
            hint=f"answer as somebody who is {' or '.join(item.roles)}: --as NAME"
            if item.roles
            else None,
            details={"clauses": list(decision.clauses)},
        )


def inbox_item(event: Event) -> InboxItem:
    """Return what an approval.requested event asks."""
    body = event.payload
    return InboxItem(
        id=body["binding"].removeprefix("sha256:")[:12],
        run=body["run"],
        position=body["position"],
        action=body["action"],
        because=body["because"],
        roles=tuple(body["roles"]),
        requester=body["requester"],
        input=body["input"],
        evidence=body["evidence"],
        binding=body["binding"],
        asked=event.time,
        expires_ms=body["expires_ms"],
    )
