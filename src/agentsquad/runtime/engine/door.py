"""The door: every call of an action, from a workflow, an agent or a surface,
passes here.

`CallPath` runs one explicit list of small interceptors (ARCHITECTURE section
7); each is a file of its own. An action sees the world only through the
`StepContext` it is handed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, cast

from agentsquad.kernel import hashing
from agentsquad.kernel.action import Action, ActionSpec, RetryPolicy
from agentsquad.kernel.actor import SYSTEM, Actor
from agentsquad.kernel.errors import DeniedError, UnsupportedError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import Decision, PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.engine.contract import Approval
from agentsquad.runtime.engine.heartbeat import Heart
from agentsquad.runtime.engine.state import EffectState
from agentsquad.runtime.resilience.guard import Guard

T = TypeVar("T")
Progress = Callable[[str, int | None, int | None], None]


class Ports:
    """The adapters mounted for each port, made on first use."""

    def __init__(self, made: Mapping[Any, Any] | None = None) -> None:
        self._made: dict[Any, Any] = dict(made or {})
        self._factories: dict[Any, Callable[[], Any]] = {}
        self.changes = 0  # how often something was mounted

    def provide(self, role: Any, factory: Callable[[], Any]) -> None:
        """Say how to make the adapter for a port."""
        self._factories[role] = factory
        self.changes += 1

    def put(self, role: Any, adapter: Any) -> None:
        """Mount an adapter."""
        self._made[role] = adapter
        self.changes += 1

    def has(self, role: Any) -> bool:
        """Whether a port can be had."""
        return role in self._made or role in self._factories

    def made(self, role: Any) -> bool:
        """Whether the adapter for a port exists already."""
        return role in self._made

    def get(self, role: Any) -> Any:
        """Return the adapter; UnsupportedError when there is none."""
        made = self._made.get(role)
        if made is None:
            factory = self._factories.get(role)
            if factory is None:
                raise UnsupportedError(
                    f"nothing is mounted for {getattr(role, '__name__', role)}",
                    code="port.missing",
                    hint="mount a plugin that provides it, or install the extra that does",
                )
            made = self._made[role] = factory()
        return made


class World:
    """What the shell works with: the registry and the ports, each adapter made
    on first use."""

    def __init__(self, registry: Registry, ports: Ports) -> None:
        self.registry = registry
        self.ports = ports
        self.progress: Progress = lambda text, done, total: None
        ports.put(Registry, registry)
        ports.put(World, self)

    @cached_property
    def store(self) -> EventStore:
        """The log."""
        return cast(EventStore, self.ports.get(EventStore))

    @cached_property
    def blobs(self) -> BlobStore:
        """The blobs beside the log."""
        return cast(BlobStore, self.ports.get(BlobStore))

    @cached_property
    def policy(self) -> PolicyEngine:
        """What may be."""
        return cast(PolicyEngine, self.ports.get(PolicyEngine))

    @cached_property
    def clock(self) -> Clock:
        """The only source of time."""
        return cast(Clock, self.ports.get(Clock))

    @cached_property
    def entropy(self) -> Entropy:
        """The only source of chance."""
        return cast(Entropy, self.ports.get(Entropy))


class Step:
    """One call on its way through the door."""

    facts: Mapping[str, Any] = MappingProxyType({})
    undoes: dict[str, str] | None = None  # position and key of an effect
    approvals: tuple[Approval, ...] = ()
    deadline_ms: int | None = None  # when the run, or one above it, must have ended
    beat: Heart | None = None
    attempts = 0
    guard: Guard | None = None
    workflow = ""
    placed = False  # whether it is part of a step that has a place already
    decision: Decision | None = None
    effect: EffectState | None = None
    cause: int | None = None
    key: str | None = None
    started_ms = 0.0
    told: Callable[[list[Event]], None] | None = None  # hears what it appends to the run

    def __init__(
        self,
        action: Action,
        value: Any,
        *,
        actor: Actor = SYSTEM,
        run: str | None = None,
        position: str = "",
        name: str = "",
    ) -> None:
        self.action = action
        self.input = value  # plain JSON, what is recorded
        self.value = value  # typed, what the function gets
        self.actor = actor
        self.run = run
        self.position = position
        self.name = name or action.name
        self.retry: RetryPolicy = action.spec.retry
        self.timeout_ms: int | None = action.spec.timeout_ms
        self.usage: list[dict[str, Any]] = []
        self.notes: dict[str, Any] = {}  # what is recorded with its outcome: hedged, fallback
        self.correlation: str | None = run

    def left_ms(self, now_ms: int) -> int | None:
        """Return how long a try that begins now may take: the least of its own
        limit and what is left to its run and those above."""
        if self.deadline_ms is None:
            return self.timeout_ms
        left = self.deadline_ms - now_ms
        return left if self.timeout_ms is None else min(left, self.timeout_ms)

    @property
    def idempotency_key(self) -> str:
        """Stable over retries and resumes of this step, different for any
        other."""
        if self.key is None:
            name = hashing.digest([self.run, self.position, self.action.name, self.input])
            self.key = name.removeprefix("sha256:")[:32]
        return self.key


Proceed = Callable[[Step], Awaitable[Any]]


class Interceptor(Protocol):
    """What a call passes on its way; it lets it go on by `proceed`."""

    def __call__(self, world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
        """Take the call, and return what awaits its output."""
        ...


def only(
    serves: Callable[[ActionSpec], bool],
    where: Callable[[ActionSpec, Ports], bool] | None = None,
) -> Callable[[Interceptor], Interceptor]:
    """Say which actions an interceptor is for, and where something is mounted
    that it needs; the path of others is made without it. What it says must
    follow from the spec, and from what is mounted, alone."""

    def mark(interceptor: Interceptor) -> Interceptor:
        interceptor.__dict__["serves"] = serves
        interceptor.__dict__["where"] = where
        return interceptor

    return mark


class CallPath:
    """The list of interceptors, folded into one call for each action: those
    that cannot apply to it, as things are mounted, are left out, the others
    keep their order."""

    def __init__(self, world: World, interceptors: Sequence[Interceptor]) -> None:
        self.world = world
        self.interceptors = tuple(interceptors)
        self._paths: dict[Action, Proceed] = {}
        self._monotonic_ms: Callable[[], float] | None = None
        self._as_of = -1

    def _fold(self, action: Action) -> Proceed:
        world = self.world

        async def last(step: Step) -> Any:
            raise AssertionError("the last interceptor executes")

        following: Proceed = last
        for interceptor in reversed(self.interceptors):
            serves = getattr(interceptor, "serves", None)
            where = getattr(interceptor, "where", None)
            if (serves is None or serves(action.spec)) and (
                where is None or where(action.spec, world.ports)
            ):
                following = partial(interceptor, world, proceed=following)
        self._paths[action] = following
        return following

    def run(self, step: Step) -> Awaitable[Any]:
        """Take a step through the door; return what awaits its output,
        typed."""
        ports = self.world.ports
        if ports.changes != self._as_of:
            self._paths.clear()
            self._monotonic_ms, self._as_of = self.world.clock.monotonic_ms, ports.changes
        step.started_ms = self._monotonic_ms()  # type: ignore[misc]
        return (self._paths.get(step.action) or self._fold(step.action))(step)


class StepContext:
    """The Context an action is handed: only what the door lets through."""

    __slots__ = ("_path", "_step", "_world")

    def __init__(self, world: World, step: Step, path: CallPath | None = None) -> None:
        self._world = world
        self._step = step
        self._path = path

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return self._step.actor

    @property
    def run_id(self) -> str | None:
        """The run this call belongs to."""
        return self._step.run

    @property
    def correlation(self) -> str | None:
        """The root run this call belongs to."""
        return self._step.correlation

    @property
    def idempotency_key(self) -> str:
        """The key to give to the other side."""
        return self._step.idempotency_key

    def now_ms(self) -> int:
        """Return the time."""
        return self._world.clock.now_ms()

    def token(self, size: int) -> bytes:
        """Return random bytes."""
        return self._world.entropy.token(size)

    def port(self, role: type[T]) -> T:
        """Return the adapter for a port."""
        return self._world.ports.get(role)  # type: ignore[no-any-return]

    async def call(self, action: str, value: Any, **facts: Any) -> Any:
        """Call another action inside this step; only pure ones and reads."""
        target = self._world.registry.action(action)
        if target.spec.effect.outward:
            raise DeniedError(
                f"{self._step.action.name} may not call {action} from inside a step",
                code="door.nested_effect",
                hint="call it from the workflow, so that the effect has a place in the journal",
            )
        path = self._world.ports.get(CallPath)
        inner = Step(
            target, value, actor=self._step.actor, run=self._step.run, position=self._step.position
        )
        inner.facts = facts
        inner.usage = self._step.usage
        inner.deadline_ms = self._step.deadline_ms
        inner.placed = True
        return await path.run(inner)

    def meter(self, **usage: Any) -> None:
        """Record what this call consumed."""
        self._step.usage.append(usage)

    def time_left_ms(self) -> int | None:
        """Return how long this call may still take; None without a limit."""
        return self._step.left_ms(self._world.clock.now_ms())

    def heartbeat(self, detail: Any = None) -> None:
        """Show that the action lives, and how far it is."""
        Heart.of(self._world, self._step).beat(detail)

    @property
    def last_heartbeat(self) -> Any:
        """What the try before this one said last; None if it said nothing."""
        return Heart.of(self._world, self._step).before

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """Tell a watching person how far it is."""
        self._world.progress(text, done, total)
