"""Answers: the questions that wait for a person, and what a person may answer.

Apart from the shell because it is where human authority enters: only a person,
never the requester, and only as policy allows (ARCHITECTURE section 5).
"""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeniedError, InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import Question
from agentsquad.runtime.engine.contract import InboxItem
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import END_EVENTS


class Answers:
    """The part of an engine that people talk to."""

    world: World

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended."""
        raise NotImplementedError

    async def inbox(self, run_id: str | None = None) -> list[InboxItem]:
        """Return the questions that wait, oldest first."""
        asked: dict[tuple[str, str], Event] = {}
        for name, _ in await self.world.store.streams("run/" + (run_id or "")):
            for event in await self.world.store.read_stream(name):
                body = event.payload or {}
                if event.type == "approval.requested":
                    asked[name, body["position"]] = event
                elif event.type in ("approval.given", "approval.refused", "timer.fired"):
                    asked.pop((name, body["position"]), None)
                elif event.type in END_EVENTS:
                    for key in [key for key in asked if key[0] == name]:
                        del asked[key]
        return [inbox_item(e) for e in sorted(asked.values(), key=lambda e: e.seq)]

    async def answer(self, item: str, *, approve: bool, approver: str, reason: str) -> None:
        """Answer a question as a person; policy and segregation of duties are
        checked."""
        found = next((i for i in await self.inbox() if i.id == item), None)
        if found is None:
            raise MissingError(
                f"no open question {item!r}", code="approval.missing", hint="squad inbox lists them"
            )
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
        self._may_answer(found, who)
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

    def _may_answer(self, item: InboxItem, who: Actor) -> None:
        decision = self.world.policy.decide(
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
