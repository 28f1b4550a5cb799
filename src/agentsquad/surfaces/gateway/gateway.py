"""The gateway that serves: every call from afar passes here, whatever its
protocol.

In this order: is it too much (shield), who asks (identity), may they (access),
was it asked before (keys), files, and the action itself through the engine's
door, where policy is asked. What is accepted is carried out although who asked
goes away, and a server that ends waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import msgspec

from agentsquad.kernel.action import Action, Effect
from agentsquad.kernel.errors import (
    DeadlineError,
    InvalidError,
    MissingError,
    SquadError,
    UnavailableError,
    UnsupportedError,
)
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import Clock
from agentsquad.kernel.registry import Registry, nearest
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.ledger.contract import ClosedError, RecordStore
from agentsquad.surfaces.gateway.contract import (
    DEFAULT_NAMESPACE,
    SYSTEM_NAMESPACE,
    Answer,
    Call,
    Caller,
    File,
    Following,
)
from agentsquad.surfaces.gateway.files import Inputs, Scratch, bring, unplaced
from agentsquad.surfaces.gateway.hub import Hub
from agentsquad.surfaces.gateway.installation import Opened
from agentsquad.surfaces.gateway.keys import Keys
from agentsquad.surfaces.gateway.operation import Operation, operations
from agentsquad.trust.access.contract import Access, Ask
from agentsquad.trust.access.own import CLAUSE, account_target, narrowed, stale
from agentsquad.trust.identity.contract import Identity, Shown, SignInStaleError
from agentsquad.trust.threats.contract import Hit, Shield, Verdict, refusal

WAIT_MS = 60_000  # how long a caller waits who does not say
WAIT_FOR_PEOPLE = "wait_for_people"  # a field; from afar nobody answers at a terminal
READING_EVENTS, READING_BLOBS, KEEPING_BLOBS = "events.list", "blobs.get", "blobs.put"


class Tenants(Protocol):
    """The namespaces of an installation, each opened once."""

    async def use(self, namespace: str) -> Opened:
        """Return one, open until the end; NamespaceMissingError where there is
        none."""
        ...

    def lease(self, namespace: str) -> AbstractAsyncContextManager[Opened]:
        """Return one for a while."""
        ...


class Measures(Protocol):
    """Hears what the gateway does, for metrics, logs and traces."""

    def called(self, call: Call, took_ms: float, error: BaseException | None) -> None:
        """Hear how a call ended."""
        ...


class ServingGateway:
    """The gateway of a server."""

    def __init__(
        self,
        registry: Registry,
        tenants: Tenants,
        guards: tuple[Shield, Identity, Access],
        clock: Clock,
        measures: Measures,
        scratch: Callable[[], Scratch],
    ) -> None:
        self._registry = registry
        self._tenants = tenants
        self._shield, self._identity, self._access = guards
        self._clock = clock
        self._measures = measures
        self._scratch = scratch
        offered = [one for one in operations(registry) if not one.local]
        self._operations = {one.action: one for one in sorted(offered, key=lambda op: op.action)}
        self._keys: WeakKeyDictionary[Opened, Keys] = WeakKeyDictionary()
        self._hubs: dict[str, Hub] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._leaving = False

    # --- what there is

    def operations(self) -> Sequence[Operation]:
        """Return what may be called from afar, in the order of their names."""
        return tuple(self._operations.values())

    def operation(self, action: str) -> Operation:
        """Return one of them; MissingError names the nearest."""
        found = self._operations.get(action)
        if found is not None:
            return found
        known = self._registry.actions.get(action)
        if known is not None and known.spec.local:
            raise UnsupportedError(
                f"{action} is not called from afar: {known.spec.local}", code="gateway.local"
            )
        raise MissingError(
            f"no action named {action!r}",
            code="action.missing",
            hint=nearest(action, self._operations),
        )

    def kinds(self) -> Mapping[str, Kind]:
        """Return the kinds of resources by name."""
        return self._registry.kinds

    # --- who asks

    async def enter(
        self, hit: Hit, shown: Shown, *, namespace: str = DEFAULT_NAMESPACE, trace: str = ""
    ) -> Caller:
        """Recognise who asks; raises what keeps them out."""
        _judged(self._shield.outer(hit))
        principal = await self._identity.recognise(shown)
        return Caller(
            principal=principal,
            namespace=namespace,
            surface=hit.surface,
            address=hit.address,
            trace=trace,
        )

    async def confirm(self, caller: Caller) -> Caller:
        """Return a caller as they stand now; ClosedError once the server
        ends."""
        if self._leaving:
            raise ClosedError("the server ends")
        return await self._now(caller)

    # --- calls

    async def call(self, call: Call) -> Answer:
        """Carry one call out."""
        began, failure = self._clock.monotonic_ms(), None
        try:
            return await self._call(call)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._measures.called(call, self._clock.monotonic_ms() - began, failure)

    async def _call(self, call: Call) -> Answer:
        if self._leaving:
            raise UnavailableError(
                "this server is ending", code="gateway.ending", retry_after_ms=1000
            )
        operation = self.operation(call.action)
        action = self._registry.action(call.action)
        if action.spec.realm == "system":
            caller = msgspec.structs.replace(call.caller, namespace=SYSTEM_NAMESPACE)
            call = msgspec.structs.replace(call, caller=caller)
        call = await self._admitted(call, action, _target(call))
        _flags(operation, call.value)
        if any(field.name == WAIT_FOR_PEOPLE for field in operation.fields):
            call = msgspec.structs.replace(call, value={WAIT_FOR_PEOPLE: False, **call.value})
        if action.spec.effect in (Effect.PURE, Effect.READ):
            return await self._in_time(self._carry(action, call), call)
        task = asyncio.ensure_future(self._carry_once(action, call))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await self._in_time(asyncio.shield(task), call)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen: who asked may have gone

    async def _admitted(self, call: Call, action: Action, target: str) -> Call:
        """Return the call as its caller stands now; raises what forbids it."""
        caller = await self._now(call.caller)
        spec = action.spec
        brought = msgspec.json.encode(call.value) if self._shield.reads else b""
        _judged(self._shield.inner(_hit_of(caller, spec.name, brought)))
        ask = Ask(
            verb=spec.name,
            effect=spec.effect.value,
            namespace=caller.namespace,
            target=account_target(spec.name, call.value) or target,
            surface=caller.surface,
        )
        decision = await self._access.require(caller.principal, ask)
        if stale(caller.principal, ask, self._clock.now_ms()):
            raise SignInStaleError(hint="sign in again, then do it within ten minutes")
        value = call.value
        if CLAUSE in decision.clauses:
            value = narrowed(spec.name, value, caller.principal)
        return msgspec.structs.replace(call, caller=caller, value=value)

    async def _now(self, caller: Caller) -> Caller:
        principal = await self._identity.confirm(caller.principal)
        return msgspec.structs.replace(caller, principal=principal)

    async def _in_time(self, work: Any, call: Call) -> Answer:
        try:
            async with asyncio.timeout((call.timeout_ms or WAIT_MS) / 1000):
                answer: Answer = await work
                return answer
        except TimeoutError:
            raise DeadlineError(
                f"{call.action} has not answered in time; it goes on",
                code="gateway.deadline",
                hint="ask again with the same Idempotency-Key for its answer",
            ) from None

    async def _carry(self, action: Action, call: Call) -> Answer:
        async with self._tenants.lease(call.caller.namespace) as opened:
            return await self._invoke(opened, action, call)

    async def _carry_once(self, action: Action, call: Call) -> Answer:
        """Carry a call out, once for its key."""
        async with self._tenants.lease(call.caller.namespace) as opened:
            if call.key is None:
                return await self._invoke(opened, action, call)
            keys = self._keys.get(opened)
            if keys is None:
                world = opened.world
                keys = self._keys[opened] = Keys(world.store, world.blobs, self._told_once)
            return await keys.once(call, lambda: self._invoke(opened, action, call))

    def _unnamed(self, action: str, marked: Mapping[str, str]) -> dict[str, str]:
        """Return the names under which an action writes files when nobody names
        them: they are for the caller too, not for this server's folder."""
        return {
            field.name: field.default.replace("\\", "/").rpartition("/")[2]
            for field in self._operations[action].fields
            if marked.get(field.name) == "out" and isinstance(field.default, str) and field.default
        }

    async def _invoke(self, opened: Opened, action: Action, call: Call) -> Answer:
        """Call the action with files in the place of content."""
        marked, actor = action.spec.files, call.caller.actor
        facts = {"surface": call.caller.surface, "namespace": call.caller.namespace}
        if not marked:
            value = await opened.invoke(call.action, dict(call.value), actor=actor, facts=facts)
            return Answer(value=plain(value))
        scratch = self._scratch()
        try:
            world = opened.world
            unnamed = self._unnamed(call.action, marked)
            said = {name: one for name, one in call.value.items() if one is not None}
            given = {**call.value, **unnamed, **said}
            taken = await bring(
                given, marked, scratch, world.blobs.get, lambda: world.ports.get(Inputs)
            )
            value = await opened.invoke(call.action, taken, actor=actor, facts=facts)
            outward = [field for field, way in marked.items() if way == "out"]
            made = [file for field in outward for file in scratch.made(field)]
            return Answer(value=unplaced(plain(value), scratch), files=tuple(made))
        except SquadError as error:
            error.message = scratch.names(error.message)
            error.hint = error.hint and scratch.names(error.hint)
            error.details = unplaced(error.details, scratch)
            raise
        finally:
            scratch.clear()

    def _told_once(self, action: str) -> bool:
        return self._registry.action(action).spec.realm == "system"

    # --- events and blobs

    async def follow(self, caller: Caller, what: Following) -> AsyncIterator[Event]:
        """Return the events, first those there are, then those that come."""
        opened = await self._open_for(caller, READING_EVENTS, Effect.READ)
        store = cast(RecordStore, opened.world.store)
        hub = self._hubs.get(caller.namespace)
        if hub is None or hub.store is not store:  # it may have been opened anew
            hub = self._hubs[caller.namespace] = Hub(store)
        async with aclosing(hub.follow(what)) as events:
            async for event in events:
                yield event

    async def place(self, caller: Caller) -> int:
        """Return the number of the newest event of a namespace; limits do not
        count it, since it only begins something that they do."""
        opened = await self._open_for(caller, READING_EVENTS, Effect.READ, counted=False)
        return await opened.world.store.size()

    async def blob(self, caller: Caller, digest: str) -> File:
        """Return the bytes of a blob."""
        opened = await self._open_for(caller, READING_BLOBS, Effect.READ)
        return File(name=digest.removeprefix("sha256:"), data=await opened.world.blobs.get(digest))

    async def keep(self, caller: Caller, file: File) -> Mapping[str, Any]:
        """Keep bytes as a blob and return how to refer to it."""
        opened = await self._open_for(caller, KEEPING_BLOBS, Effect.WRITE)
        return await opened.world.blobs.put(file.data, file.media_type)

    async def _open_for(
        self, caller: Caller, verb: str, effect: Effect, *, counted: bool = True
    ) -> Opened:
        caller = await self._now(caller)
        if counted:
            _judged(self._shield.inner(_hit_of(caller, verb)))
        ask = Ask(
            verb=verb, effect=effect.value, namespace=caller.namespace, surface=caller.surface
        )
        await self._access.require(caller.principal, ask)
        return await self._tenants.use(caller.namespace)

    # --- leaving

    @property
    def under_way(self) -> int:
        """How many calls that change something are under way."""
        return len(self._under_way)

    async def leave(self, patience_ms: int) -> int:
        """Take no more calls and wait for those under way; return how many
        had to be left."""
        self._leaving = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=patience_ms / 1000)
        for hub in self._hubs.values():
            await hub.close()
        return len(self._under_way)


def plain(value: Any) -> Any:
    """Return an output as plain JSON."""
    return msgspec.to_builtins(value, str_keys=True)


def _flags(operation: Operation, value: Mapping[str, Any]) -> None:
    """Refuse a number or a word in the place of a flag: each format would take
    others of them for true."""
    for field in operation.fields:
        given = value.get(field.name)
        if field.kind == "flag" and given is not None and not isinstance(given, bool):
            raise InvalidError(
                f"input of {operation.action}: {field.name} is true or false, not {given!r:.40}",
                code="action.input",
                hint=f"give {field.name} as true or false",
                details={"action": operation.action},
            )


def _target(call: Call) -> str:
    """Return what one call is about, as KIND/NAME, where its input says so."""
    value = call.value
    if isinstance(value.get("kind"), str) and isinstance(value.get("name"), str):
        return f"{value['kind']}/{value['name']}"
    if isinstance(value.get("kind"), str):
        return f"{value['kind']}/"
    if isinstance(value.get("where"), str):
        return f"namespace/{value['where']}"
    if isinstance(value.get("run"), str):
        return f"run/{value['run']}"
    return f"workflow/{value['workflow']}" if isinstance(value.get("workflow"), str) else ""


def _hit_of(caller: Caller, verb: str, brought: bytes = b"") -> Hit:
    return Hit(
        body=brought,
        surface=caller.surface,
        method="CALL",
        path=verb,
        route=verb,
        address=caller.address,
        actor=str(caller.principal.actor),
        namespace=caller.namespace,
    )


def _judged(verdict: Verdict) -> None:
    error = refusal(verdict)
    if error is not None:
        raise error
