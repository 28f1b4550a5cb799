"""Subscriptions: which messages start which workflow, as pure functions, and
the kind that declares them.

A message is an event; a subscription is a place in the log up to which its
messages have started their runs. A run is named after its message
("ship-goods#118"), so a message starts one run of a subscription, however often
and in how many processes it is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.contract import Expressions
from agentsquad.runtime.control.expression import condition
from agentsquad.runtime.control.kinds import WORKFLOW_NAME, listing, record, text

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


def place_of(events: Iterable[Event]) -> Place:
    """Return how a subscription stands after the events of its stream."""
    seq, version, failed = None, 0, dict[int, str]()
    for event in events:
        body = event.payload or {}
        seq, version = max(seq or 0, body["seq"]), event.stream_seq
        for number in body.get("done", ()):
            failed.pop(number, None)
        failed |= {one["seq"]: one["error"] for one in body.get("failed", ())}
    return Place(seq=seq, version=version, failed=tuple(failed.items()))


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
