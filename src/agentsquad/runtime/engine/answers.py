"""Answers: the questions that wait for a person, and what a person may answer.

Apart from the shell because it is where human authority enters: only a person,
never the requester, and only as policy allows (ARCHITECTURE section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, DeniedError, InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import PolicyEngine, Question
from agentsquad.runtime.engine.contract import InboxItem
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.inbound.contract import UpdateAnswer
from agentsquad.runtime.engine.intervening import Wish, allowed, asked
from agentsquad.runtime.engine.outside import Outside, refuse_ended
from agentsquad.runtime.engine.questions import INBOX, Open, Questions, inbox_item
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.engine.resolving import Told
from agentsquad.runtime.engine.state import DELEGATED, NOTED, WITHDRAWN
from agentsquad.runtime.engine.telling import Telling

ASKED = ("approval.requested",)
PAGE = 5_000
TEXT_MAX = 4_000  # characters of what is said about a question


class Answers:
    """The part of an engine that people talk to."""

    world: World
    telling: Telling
    outside: Outside
    _questions: Questions | None = None

    async def tell(self, run: str, kind: str, body: dict[str, Any], actor: str) -> None:
        """Append an event from outside to a run that has not ended."""
        raise NotImplementedError

    async def inbox(self, run_id: str | None = None) -> list[InboxItem]:
        """Return the questions that wait, oldest first."""
        if self._questions is None:
            store = self.world.store
            self._questions = Questions(store, Reading.of(INBOX, store, self.world.ports))
        found = [inbox_item(one) for one in await self._questions.open()]
        if run_id is None:
            return found
        return [one for one in found if f"{one.run}/".startswith(f"{run_id}/")]

    async def answer(
        self,
        item: str,
        *,
        approve: bool,
        approver: str,
        reason: str,
        roles: tuple[str, ...] = (),
    ) -> None:
        """Answer a question as a person, with the roles they were granted here;
        policy and segregation of duties are checked."""
        found = await self._question(item)
        _answerable(found)
        who = _standing_in(found, Actor.parse(approver, roles))
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
        body: dict[str, Any] = {
            "position": found.position,
            "binding": found.binding,
            "approver": approver,
            "reason": reason,
            "expires_ms": found.expires_ms,
        }
        if found.level:
            body |= {"level": found.level, "roles": list(found.roles)}
        if found.delegated is not None and found.delegated.to == approver:
            body["delegated_by"] = found.delegated.by
        if approve and found.kind == "intervention":
            await self._allow(found, body)
            return
        kind = "approval.given" if approve else "approval.refused"

        async def say(journal: Sequence[Event]) -> list[Told]:
            refuse_ended(found.run, journal)
            _refuse_closed(found, journal)
            return [(kind, body)]

        await self.outside.transact(found.run, say, approver)

    async def discuss(
        self, item: str, text: str, *, actor: Actor, to: str | None = None
    ) -> InboxItem:
        """Say something about an open question, or delegate it `to` a person;
        return it as it then stands.

        Whoever delegates must be one who may answer this very question. The
        person answers it with the roles that it asks for beside their own, and
        is judged by the same policy; nobody loses the right to answer.
        """
        found = await self._question(item)
        if not text.strip():
            raise InvalidError("there is nothing said", code="approval.text", hint="--text …")
        if len(text) > TEXT_MAX:
            raise InvalidError(
                f"a note has at most {TEXT_MAX} characters", code="approval.text", hint="shorten it"
            )
        body: dict[str, Any] = {"position": found.position, "binding": found.binding, "text": text}
        kind = NOTED
        if to is not None:
            _answerable(found)
            who = _standing_in(found, actor)
            _delegable(found, who, to)
            _may_answer(await self.policy_of(found.run), found, who)
            kind = DELEGATED
            body |= {"to": to, "roles": list(found.roles)}

        async def tell(journal: Sequence[Event]) -> list[Told]:
            refuse_ended(found.run, journal)
            _refuse_closed(found, journal)
            return [(kind, body)]

        await self.outside.transact(found.run, tell, str(actor))
        return await self._question(found.id)

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
        if text:
            await self._refuse_closed(text)
        raise MissingError(
            f"no open question {text!r}", code="approval.missing", hint="squad inbox lists them"
        )

    async def _refuse_closed(self, text: str) -> None:
        """Say what became of a question that is not open any more."""
        after = 0
        while page := await self.world.store.read(after=after, limit=PAGE, types=ASKED):
            after = page[-1].seq
            for event in page:
                if str((event.payload or {}).get("binding")).startswith(f"sha256:{text}"):
                    asked = inbox_item(Open(asked=event))
                    _refuse_closed(asked, await self.outside.journal(asked.run))

    async def own(self) -> None:
        """Drive the runs from here, where that takes anything."""

    # --- telling and asking runs

    async def query(self, run_id: str, name: str, value: Any = None) -> Any:
        """Return what a run answers; nothing of it is written."""
        return await self.telling.query(run_id, name, value)

    async def update(
        self,
        run_id: str,
        name: str,
        value: Any = None,
        *,
        actor: str,
        key: str | None = None,
        timeout_ms: int | None = None,
    ) -> UpdateAnswer:
        """Have a run take an update; the same key gives the same answer."""
        return await self.telling.update(
            run_id, name, value, actor=actor, key=key, timeout_ms=timeout_ms
        )

    async def intervene(self, wish: Wish, *, actor: str) -> InboxItem:
        """Ask for something to be done by hand; another person must approve
        it."""
        who = Actor.parse(actor)
        policy = await self.policy_of(wish.run)

        async def ask(journal: Sequence[Event]) -> list[Told]:
            refuse_ended(wish.run, journal, _afterwards(wish))
            copy = await self.telling.copy(wish.run, journal)
            try:
                return [asked(wish, copy, journal, who, policy)]
            finally:
                copy.release()

        (event,) = await self.outside.transact(wish.run, ask, actor)
        return inbox_item(Open(asked=event))

    async def _allow(self, item: InboxItem, answer: dict[str, Any]) -> None:
        """Write an approved intervention, if it is still the one that was asked
        for."""
        policy = await self.policy_of(item.run)

        async def make(journal: Sequence[Event]) -> list[Told]:
            refuse_ended(item.run, journal)
            request = next(
                event.payload
                for event in journal
                if event.type == "approval.requested" and event.payload["position"] == item.position
            )
            if any(
                event.type in ("approval.given", "approval.refused")
                and event.payload["position"] == item.position
                for event in journal
            ):
                raise ConflictError(f"{item.id} is answered", code="approval.answered")
            copy = await self.telling.copy(item.run, journal)
            try:
                return allowed(request, answer, copy, policy)
            finally:
                copy.release()

        await self.outside.transact(item.run, make, str(answer["approver"]))

    async def policy_of(self, run: str) -> PolicyEngine:
        """Return the rules that a run is judged by."""
        return self.world.policy


def _afterwards(wish: Wish) -> str:
    """Return what can be done about a step of a run that has ended."""
    if wish.means == "compensate":
        return "nothing of it is undone by hand any more; undo it by a run of its own"
    first = wish.position or "STEP"
    again = f"squad runs restart {wish.run} --from {first} --reason …"
    return f"{again} does it again from that step, as a new run that takes over what came before"


def _standing_in(item: InboxItem, who: Actor) -> Actor:
    """Return an actor with the roles under which the question was delegated to
    them, if it was."""
    given = item.delegated
    if given is None or given.to != str(who):
        return who
    return Actor.parse(str(who), tuple(dict.fromkeys((*who.roles, *given.roles))))


def _delegable(item: InboxItem, who: Actor, to: str) -> None:
    """Raise unless `who` may hand the question on to `to`."""
    if who.kind != "person" or Actor.parse(to).kind != "person":
        raise DeniedError("a question is handed on by people to people", code="approval.person")
    if to == str(who):
        raise InvalidError("that is you", code="approval.delegate", hint="name somebody else")
    if item.requester in (to, str(who)):
        raise DeniedError(
            f"{item.requester} asked for it and may not approve it", code="approval.segregation"
        )


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


def _refuse_closed(item: InboxItem, journal: Sequence[Event]) -> None:
    """Raise ConflictError for a question that was answered or withdrawn."""
    asked = False
    for event in journal:
        body = event.payload or {}
        if body.get("position") != item.position:
            continue
        asked |= event.type == "approval.requested" and body["binding"] == item.binding
        if asked and event.type in ("approval.given", "approval.refused"):
            said = "approved" if event.type == "approval.given" else "refused"
            raise ConflictError(
                f"{item.id} was {said} by {body['approver']} at {event.time}",
                code="approval.answered",
            )
        if asked and event.type == WITHDRAWN:
            raise ConflictError(
                f"{item.id} was withdrawn at {event.time}: run {item.run} goes on without it",
                code="approval.withdrawn",
            )


def _answerable(item: InboxItem) -> None:
    """Raise for what is not answered with yes or no."""
    if item.kind == "incident":
        raise InvalidError(
            f"step {item.position} of run {item.run} stands still; yes or no does not help it",
            code="inbox.incident",
            hint=f"squad runs retry {item.run} {item.position} --reason …, or skip, patch, fail",
        )
    if item.kind == "signal":
        raise InvalidError(
            f"run {item.run} waits for the signal {item.action}, not for yes or no",
            code="inbox.signal",
            hint=f"squad runs signal {item.run} {item.action}",
        )
