"""People in a rehearsal: who answers a question, and what they say.

The answer goes through the engine's own door. A person the installation does
not know is put in where nobody else is named, as in a fork.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from agentsquad.kernel.errors import ConflictError, DeniedError, InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.runtime.determinism.rehearsal.recorded import Recorded
from agentsquad.runtime.engine.contract import InboxItem
from agentsquad.runtime.engine.questions import Open, inbox_item
from agentsquad.runtime.engine.runs import question
from agentsquad.runtime.engine.shell import EmbeddedEngine

SAY = ("recorded", "rule", "approve", "reject", "twice")
NOBODY = "person:rehearsal"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a person."""

    approve: bool
    approver: str
    reason: str = "said in a rehearsal"


Decide = Callable[[InboxItem], Said | None]


class People:
    """Everybody who may be asked."""

    def __init__(self, say: str | Decide, recorded: Recorded, auto: str | None) -> None:
        if isinstance(say, str) and say not in SAY:
            raise InvalidError(
                f"people say one of {', '.join(SAY)}, not {say!r}", code="rehearsal.people"
            )
        self._say = say
        self._recorded = recorded
        self._auto = auto

    async def answer(self, engine: EmbeddedEngine, asked: Event) -> bool:
        """Answer a question; False when nobody does."""
        item = inbox_item(Open(asked=asked))
        said = self._say(item) if callable(self._say) else self._said(engine, item)
        if said is None:
            return False
        for _ in range(2 if self._say == "twice" else 1):
            with contextlib.suppress(ConflictError, MissingError):  # answered, or gone on
                await tell_answer(engine, item, said)
        return True

    def _said(self, engine: EmbeddedEngine, item: InboxItem) -> Said:
        recorded = self._recorded.approvals.get((item.run, item.position))
        by_rule: Any = None
        if recorded is None and self._auto is not None:
            by_rule = engine.world.policy.query(self._auto, question(item))
        approver = NOBODY
        approve = True
        if recorded is not None:
            approver = str(recorded.payload["approver"])
            approve = recorded.type == "approval.given"
        elif by_rule and by_rule.get("approver"):
            approver = str(by_rule["approver"])
            approve = bool(by_rule["approve"])
        if self._say in ("approve", "reject", "twice"):
            approve = self._say != "reject"
        return Said(approve=approve, approver=approver)


async def tell_answer(engine: EmbeddedEngine, item: InboxItem, said: Said) -> None:
    """Give one answer; where policy would not take it from this person, it is
    put in as given: the door checks it again before the effect."""
    try:
        await engine.answer(
            item.id, approve=said.approve, approver=said.approver, reason=said.reason
        )
    except DeniedError:
        await engine.tell(
            item.run,
            "approval.given" if said.approve else "approval.refused",
            {
                "position": item.position,
                "binding": item.binding,
                "approver": said.approver,
                "reason": said.reason,
                "expires_ms": item.expires_ms,
            },
            said.approver,
        )
