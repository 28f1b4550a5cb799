"""Actions on messages: publish one, deliver what was published, list who
listens.

Processes that know only each other's messages form a saga without a conductor
(choreography): each step is a run that hears of the one before and says what
came of it, and undoes its own part when it hears that a later one failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import (
    ConflictError,
    InvalidError,
    MissingError,
    SquadError,
    UnsupportedError,
)
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.control.contract import Expressions
from agentsquad.runtime.control.expression import condition
from agentsquad.runtime.control.manifests import StoredManifests
from agentsquad.runtime.control.resource import listed
from agentsquad.runtime.control.subscription import (
    KIND,
    MOVED,
    PLACES,
    PUBLISHED,
    STREAM,
    TOPIC,
    Message,
    Place,
    Subscription,
    key_of,
    message_of,
    place_of,
)
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.reading import Reading
from agentsquad.runtime.engine.versions import versions_of

PAGE = 200
MESSAGES = "message/"


class PublishInput(msgspec.Struct, frozen=True, kw_only=True):
    """What is said, about what."""

    topic: Annotated[str, Meta(description="words joined by dots", examples=["order.new"])]
    payload: Annotated[Any, Meta(description="what those who listen are given, JSON")] = None
    key: Annotated[
        str | None,
        Meta(
            description="says which message it is: the same topic and key again is the same "
            "message; without it, each step publishes its own",
            examples=["PO-4711"],
        ),
    ] = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A run that a message started."""

    subscription: str
    run: str
    seq: int


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The message's place in the log, and the runs it started at once;
    `duplicate` when it had been published before."""

    seq: int
    started: tuple[Delivery, ...]
    duplicate: bool = False


class DeliverInput(msgspec.Struct, frozen=True):
    """Nothing is asked."""


class AgainInput(msgspec.Struct, frozen=True, kw_only=True):
    """Whose messages."""

    name: Annotated[str, Meta(description="a subscription", examples=["ship-goods"])]


class Delivered(msgspec.Struct, frozen=True):
    """What was started."""

    items: tuple[Delivery, ...]


class SubscriptionLine(msgspec.Struct, frozen=True, kw_only=True):
    """Who listens to what; `delivered` is the last event it was looked at for,
    `failed` how many messages could start nothing, and `why` the last of
    them."""

    name: str
    topics: tuple[str, ...]
    workflow: str
    delivered: int | None
    failed: int = 0
    why: str = ""


class SubscriptionLines(msgspec.Struct, frozen=True):
    """All subscriptions."""

    items: tuple[SubscriptionLine, ...]


class Desk:
    """Brings messages to those who listen."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._store = ctx.port(EventStore)  # type: ignore[type-abstract]
        self._actor = str(ctx.actor)
        world = ctx.port(World)
        self._versions = versions_of(world)
        self._places = Reading.of(PLACES, self._store, world.ports)

    async def subscriptions(self) -> list[Subscription]:
        """Return who listens: workflows and applied resources."""
        found = [
            Subscription(name=name, topics=installed.on, workflow=name)
            for name, installed in (await self._versions.workflows()).items()
            if installed.on
        ]
        for one in await listed(self._store, KIND):
            spec = one["spec"]
            found.append(
                Subscription(
                    name=one["metadata"]["name"],
                    topics=tuple(spec["topics"]),
                    workflow=spec["workflow"],
                    when=spec.get("when"),
                )
            )
        return found

    async def place(self, one: Subscription) -> Place:
        """Return how far a subscription is; who is new hears what is said from
        now on."""
        found = await place_of(self._places, one.name)
        if found.seq is not None:
            return found
        await self._move(one, {"seq": await self._store.size()}, 0)
        return await place_of(self._places, one.name)

    async def stands(self, one: Subscription) -> Place:
        """Return how far a subscription is, and begin nothing."""
        return await place_of(self._places, one.name)

    async def _move(self, one: Subscription, body: dict[str, Any], version: int) -> bool:
        event = NewEvent(stream=STREAM + one.name, type=MOVED, payload=body, actor=self._actor)
        try:
            await self._store.append([event], expect={event.stream: version})
        except ConflictError:
            return False  # another process delivers too: the runs are the same
        return True

    async def deliver(self) -> list[Delivery]:
        """Start what messages start that nobody has looked at yet.

        The place is moved after the runs are there: a crash in between finds
        them again by their keys. A message that can start nothing, since it
        does not fit, is put aside with the reason and holds nobody up.
        """
        started: list[Delivery] = []
        for one in await self.subscriptions():
            place = await self.place(one)
            after, version = place.seq or 0, place.version
            while events := await self._store.read(after=after, limit=PAGE, types=(PUBLISHED,)):
                after = events[-1].seq
                body = {"seq": after, "failed": await self._hand(one, events, started)}
                if not await self._move(one, body, version):
                    break
                version += 1
        return started

    async def _hand(
        self, one: Subscription, events: Sequence[Event], started: list[Delivery]
    ) -> list[dict[str, Any]]:
        """Start the runs of some messages; return those that start none, and
        why."""
        failed = []
        for message in map(message_of, events):
            try:
                if one.hears(message.topic) and self._wanted(one, message):
                    started.append(await self._start(one, message))
            except (InvalidError, MissingError, UnsupportedError) as error:
                failed.append({"seq": message.seq, "error": f"{error.code}: {error.message}"})
        return failed

    async def again(self, name: str) -> list[Delivery]:
        """Try once more what could not be delivered to a subscription."""
        known = {one.name: one for one in await self.subscriptions()}
        if name not in known:
            raise MissingError(
                f"no subscription {name!r}",
                code="subscription.missing",
                hint=nearest(name, list(known)) or "squad messages subscriptions",
            )
        one, started = known[name], list[Delivery]()
        place = await self.place(one)
        done = []
        failed: list[dict[str, Any]] = []
        for seq, _ in place.failed:
            events = await self._store.read(after=seq - 1, limit=1, types=(PUBLISHED,))
            still = await self._hand(one, events, started)
            failed += still
            done += [] if still else [seq]
        if place.failed:
            body = {"seq": place.seq, "done": done, "failed": failed}
            await self._move(one, body, place.version)
        return started

    def _wanted(self, one: Subscription, message: Message) -> bool:
        if one.when is None:
            return True
        names = {"topic": message.topic, "key": message.key, "payload": message.payload}
        expressions = self._ctx.port(Expressions)  # type: ignore[type-abstract]
        return expressions.evaluate(condition(one.when).text, names) is True

    async def _start(self, one: Subscription, message: Message) -> Delivery:
        name, value = one.workflow, message.payload
        if not self._versions.offers(name):
            wrapped = await StoredManifests(self._store).wrap(name, value)
            if wrapped is not None:
                name, value = wrapped
        engine = self._ctx.port(Engine)  # type: ignore[type-abstract]
        run = await engine.start(
            name, value, key=key_of(one.name, message), actor=f"service:{one.name}"
        )
        return Delivery(subscription=one.name, run=run, seq=message.seq)


@action("messages.said", effect=Effect.READ, cli=())
async def said(ctx: Context, value: Reconcile) -> Reconciled:
    """Find out whether an interrupted step has published its message."""
    asked = msgspec.convert(value.input, PublishInput)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    known = await store.read_stream(f"{MESSAGES}{asked.topic}/{asked.key or value.key}", limit=1)
    if not known:
        return Reconciled(found=False)
    return Reconciled(found=True, output={"seq": known[0].seq, "started": []})


@action(
    "messages.publish",
    effect=Effect.WRITE,
    reconcile="messages.said",
    cli=("messages", "publish"),
    positional=("topic",),
    examples=('squad messages publish order.placed --payload \'{"id": "PO-1"}\' --key PO-1',),
)
async def publish(ctx: Context, value: PublishInput) -> Published:
    """Say that something happened; whoever listens starts.

    The message is an event of the log. A run that publishes and crashes
    publishes once; so does everybody who gives the same key.
    """
    if not TOPIC.fullmatch(value.topic):
        raise InvalidError(
            f"{value.topic!r} is not a topic", code="message.topic", hint="e.g. order.new"
        )
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    desk = Desk(ctx)
    for one in await desk.subscriptions():
        await desk.place(one)  # who is there before the message hears it
    key = value.key or ctx.idempotency_key
    stream = f"{MESSAGES}{value.topic}/{key}"
    body = {"topic": value.topic, "key": key, "payload": value.payload, "run": ctx.run_id}
    event = NewEvent(
        stream=stream,
        type=PUBLISHED,
        payload=body,
        actor=str(ctx.actor),
        correlation=(ctx.run_id or "").partition("/")[0] or None,
    )
    duplicate = False
    try:
        seq = (await store.append([event], expect={stream: 0}))[0].seq
    except ConflictError:
        known = await store.read_stream(stream)
        seq, duplicate = known[0].seq, True
    started: list[Delivery] = []
    with suppress(SquadError):  # it is published; what cannot begin now is delivered later
        started = [one for one in await desk.deliver() if one.seq == seq]
    return Published(seq=seq, started=tuple(started), duplicate=duplicate)


@action(
    "messages.deliver",
    effect=Effect.WRITE,
    cli=("messages", "deliver"),
    examples=("squad messages deliver",),
)
async def deliver(ctx: Context, value: DeliverInput) -> Delivered:
    """Start what messages start that nobody has looked at yet.

    `squad schedule run` does it all the time, who publishes does it at once.
    """
    return Delivered(tuple(await Desk(ctx).deliver()))


@action(
    "messages.redeliver",
    effect=Effect.WRITE,
    cli=("messages", "redeliver"),
    positional=("name",),
    examples=("squad messages redeliver ship-goods",),
)
async def redeliver(ctx: Context, value: AgainInput) -> Delivered:
    """Try once more the messages that could start nothing, after a fix."""
    return Delivered(tuple(await Desk(ctx).again(value.name)))


@action(
    "messages.subscriptions",
    effect=Effect.READ,
    cli=("messages", "subscriptions"),
    examples=("squad messages subscriptions",),
)
async def subscriptions(ctx: Context, value: DeliverInput) -> SubscriptionLines:
    """List who listens to which messages."""
    desk, lines = Desk(ctx), []
    for one in await desk.subscriptions():
        place = await desk.stands(one)
        lines.append(
            SubscriptionLine(
                name=one.name,
                topics=one.topics,
                workflow=one.workflow,
                delivered=place.seq,
                failed=len(place.failed),
                why=place.failed[-1][1] if place.failed else "",
            )
        )
    return SubscriptionLines(tuple(lines))
