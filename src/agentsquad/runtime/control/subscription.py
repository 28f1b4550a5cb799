"""Subscriptions: which messages start which workflow, as pure functions, and
the kind that declares them.

A message is an event; a subscription is a place in the log up to which its
messages have started their runs. A run is named after its message
("ship-goods#118"), so a message starts one run of a subscription, however often
and in how many processes it is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.contract import Expressions
from agentsquad.runtime.control.expression import condition
from agentsquad.runtime.control.kinds import WORKFLOW_NAME, listing, record, text
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.ledger.contract import Query
from agentsquad.runtime.ledger.projection import Projection, Table, Tables

KIND = "Subscription"
STREAM = "subscription/"
MOVED = "subscription.moved"
PUBLISHED = "message.published"
TOPIC = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What was published; `seq` is its place in the log."""

    seq: int
    topic: str
    key: str
    payload: Any
    run: str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of some topics start a workflow; `*` stands for any letters."""

    name: str
    topics: tuple[str, ...]
    workflow: str
    when: str | None = None

    def hears(self, topic: str) -> bool:
        """Whether a topic is one of its."""
        return any(fnmatchcase(topic, pattern) for pattern in self.topics)


def message_of(event: Event) -> Message:
    """Return the message that an event is."""
    body = event.payload or {}
    return Message(
        seq=event.seq,
        topic=body["topic"],
        key=body["key"],
        payload=body["payload"],
        run=body.get("run"),
    )


def key_of(subscription: str, message: Message) -> str:
    """Return the key of the run that a message starts."""
    return f"{subscription}#{message.seq}"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which event a subscription was delivered (None: never), and the
    messages that could not be: (seq, why)."""

    seq: int | None = None
    version: int = 0
    failed: tuple[tuple[int, str], ...] = ()


def fold_place(tables: Tables, event: Event) -> None:
    """Keep how each subscription stands."""
    name, body = event.stream.removeprefix(STREAM), event.payload or {}
    known = tables.get(NAME, name) or {"name": name, "seq": 0, "failed": []}
    done = set(body.get("done", ())) | {one["seq"] for one in body.get("failed", ())}
    failed = [one for one in known["failed"] if one[0] not in done]
    failed += [[one["seq"], one["error"]] for one in body.get("failed", ())]
    seq = max(known["seq"], body["seq"])
    tables.put(NAME, {"name": name, "seq": seq, "version": event.stream_seq, "failed": failed})


NAME = "subscriptions"
PLACES = Projection(
    NAME, 1, (Table(NAME, ("name",), ("seq", "version", "failed")),), fold_place, (MOVED,)
)


async def place_of(places: Reading, name: str) -> Place:
    """Return how a subscription stands."""
    rows = await places.select(Query(equal={"name": name}, order=("name",), limit=1))
    if not rows:
        return Place()
    row = rows[0]
    failed = tuple((seq, error) for seq, error in row["failed"])
    return Place(seq=row["seq"], version=row["version"], failed=failed)


def subscription_kind(expressions: Expressions) -> Kind:
    """Return the kind; `expressions` checks the syntax of conditions."""

    def check(spec: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        if "when" not in spec:
            return []
        wrong = expressions.problem(condition(spec["when"]).text)
        return [("/when", f"a CEL expression ({wrong})", "")] if wrong else []

    return Kind(
        name=KIND,
        plural="subscriptions",
        summary="Messages that start a workflow.",
        schema=record(
            "Messages that start a workflow; each message starts one run.",
            {
                "topics": listing(
                    "Topics it hears; * stands for any letters.",
                    text("A topic, or several.", "order.new", "payment.*", minLength=1),
                    minItems=1,
                    uniqueItems=True,
                ),
                "workflow": text(
                    "What is started; the message's payload is its input.",
                    "ship-goods",
                    pattern=WORKFLOW_NAME,
                    title="a workflow's name",
                ),
                "when": text(
                    "Only messages for which this holds: a CEL expression over topic, key and "
                    "payload.",
                    "${payload.total > 100}",
                ),
            },
            ("topics", "workflow"),
        ),
        check=check,
    )
