"""Owner: a gateway for whoever runs the program here, as over standard streams.

Nobody signs in: who can start the program can read its store anyway. Policy is
still asked for every call, and what it does is recorded in their name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.policy import Decision
from agentsquad.runtime.engine.door import CallPath, Step, World
from agentsquad.surfaces.gateway.contract import DEFAULT_NAMESPACE, Call, Caller
from agentsquad.surfaces.gateway.files import Scratch
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.gateway.installation import Opened
from agentsquad.surfaces.mcp.contract import SURFACE
from agentsquad.trust.access.contract import Ask
from agentsquad.trust.identity.contract import EVERY_NAMESPACE, Principal, Shown
from agentsquad.trust.threats.contract import Hit, Verdict


def owner(actor: Actor) -> Caller:
    """Return whoever started this, as a caller."""
    grants = {EVERY_NAMESPACE: actor.roles}
    principal = Principal(actor=actor, grants=grants, credential="local", method="local")
    return Caller(principal=principal, namespace=DEFAULT_NAMESPACE, surface=SURFACE)


def gateway_of(world: World, actor: Actor, scratch: Callable[[], Scratch]) -> ServingGateway:
    """Return a gateway to this installation, for its owner."""
    here = _Here(world, actor)
    guards = (_Open(), _Known(owner(actor).principal), _Allowed())
    return ServingGateway(world.registry, here, guards, world.clock, _Unmeasured(), scratch)


class _Here:
    """The one namespace that is open, and what is open there."""

    unkept = False
    place = ""

    def __init__(self, world: World, actor: Actor) -> None:
        self.world = world
        self.actor = actor

    async def use(self, namespace: str) -> Opened:
        return self

    @asynccontextmanager
    async def lease(self, namespace: str) -> AsyncIterator[Opened]:
        yield self

    async def invoke(
        self,
        action: str,
        value: Any,
        *,
        actor: Actor | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Any:
        path = self.world.ports.get(CallPath)
        # Without facts: locally there is no surface, and the rules of each room
        # say who may.
        step = Step(self.world.registry.action(action), value, actor=actor or self.actor)
        return await path.run(step)

    async def close(self) -> None:
        """Nothing is open that was not before."""


class _Open:
    reads = False

    def outer(self, hit: Hit) -> Verdict:
        return Verdict()

    def inner(self, hit: Hit) -> Verdict:
        return Verdict()

    def ended(self, hit: Hit, status: int) -> None:
        pass


class _Known:
    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def recognise(self, shown: Shown) -> Principal:
        return self._principal

    async def confirm(self, principal: Principal) -> Principal:
        return principal


class _Allowed:
    def decide(self, principal: Principal, ask: Ask) -> Decision:
        return Decision(allow=True, reason="the owner", revision="local", clauses=("local.owner",))

    async def require(self, principal: Principal, ask: Ask) -> Decision:
        return self.decide(principal, ask)

    async def follow(self) -> None:
        """There are no roles."""

    async def close(self) -> None:
        """Nothing was denied."""


class _Unmeasured:
    def called(self, call: Call, took_ms: float, error: BaseException | None) -> None:
        pass
