"""An installation elsewhere: the same commands, carried out by a server.

What concerns this machine alone (`local`) is carried out here. Everything else
goes to `SQUAD_SERVER` with `SQUAD_TOKEN`, or the token that `squad login` kept
for it; outputs come back as the types they have there, failures as the errors
they were raised as.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec

from agentsquad.assembly.remote_files import Luggage
from agentsquad.kernel.action import Effect
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError, SquadError, UnsupportedError
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import DEFAULT_NAMESPACE
from agentsquad.surfaces.gateway.installation import Installation, Opened
from agentsquad.surfaces.gateway.operation import Operation
from agentsquad.surfaces.rest.contract import Place, checked_url
from agentsquad.surfaces.rest.plugin import logins, server_client

SERVER, TOKEN, CA = "SQUAD_SERVER", "SQUAD_TOKEN", "SQUAD_CA"
WHO_IS_ASKED = Actor("person", "me")  # stands in where the server knows better
TELL_S = 1.0
NO_EFFECT = (Effect.PURE, Effect.READ)


def place_in(environment: Mapping[str, str]) -> Place:
    """Return the server that the environment names."""
    return Place(
        url=checked_url(environment.get(SERVER, "")),
        token=environment.get(TOKEN) or None,
        ca=environment.get(CA),
    )


class RemoteInstallation:
    """What is installed elsewhere; it is asked only when a command is carried
    out."""

    def __init__(self, here: Installation) -> None:
        self._here = here

    @property
    def debug(self) -> bool:
        """Whether a bug shows where it happened."""
        return self._here.debug

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the process."""
        return self._here.environment

    def operations(self) -> Sequence[Operation]:
        """Return what is offered."""
        return self._here.operations()

    def registry(self) -> Registry:
        """Return the types that the server's answers are read by."""
        return self._here.registry()

    def open(self, home: str | None = None, namespace: str | None = None) -> Opened:
        """Return a namespace of the server; a home of this machine is opened
        here."""
        if home is not None:
            return self._here.open(home, namespace)
        named = namespace or self.environment.get("SQUAD_NAMESPACE") or DEFAULT_NAMESPACE
        return RemoteNamespace(
            place_in(self.environment),
            named,
            self._here,
            lambda: self._here.open(home, namespace),
        )


class RemoteNamespace:
    """One namespace of a server elsewhere (`Opened`)."""

    def __init__(
        self, place: Place, namespace: str, installed: Installation, here: Callable[[], Opened]
    ) -> None:
        self._registry = installed.registry()
        self._url = place.url
        self._client = server_client(place, namespace, logins(installed.environment))
        self._make_here = here
        self._here: Opened | None = None
        self.world: Any = SimpleNamespace(progress=None)

    @property
    def actor(self) -> Actor:
        """Who asks: whom the server takes the token for."""
        return WHO_IS_ASKED

    @property
    def unkept(self) -> bool:
        """Whether nothing was ever kept there; a server keeps something."""
        return False

    @property
    def place(self) -> str:
        """Where it is."""
        return self._url

    async def invoke(
        self,
        action: str,
        value: Any,
        *,
        actor: Actor | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call one action there and return its typed output."""
        spec = self._registry.action(action).spec
        if spec.local:
            return await self._invoked_here(action, value, actor)
        if actor not in (None, WHO_IS_ASKED):
            raise InvalidError(
                f"{self._url} knows by your token who asks; --as is for this machine alone",
                code="server.actor",
                hint="squad whoami says who you are there",
            )
        luggage = Luggage(spec.files, self._client.keep)
        packed = await luggage.packed(value)
        key = None if spec.effect in NO_EFFECT else secrets.token_hex(16)
        waiting = asyncio.ensure_future(self._told_of_waiting(action))
        try:
            answer = await self._client.call(action, packed, key)
        except SquadError as error:
            luggage.tell(error)
            raise
        finally:
            waiting.cancel()
        luggage.unpacked(answer.files)
        try:
            found = luggage.named(answer.value)
            return msgspec.convert(found, spec.output, str_keys=True)
        except msgspec.ValidationError as error:
            raise UnsupportedError(
                f"{self._url} answers {action} in another form: {error}",
                code="server.version",
                hint="install the version that the server has",
            ) from error

    async def _told_of_waiting(self, action: str) -> None:
        """Tell whoever watches, again and again, that the server is still at
        it; how far it is, only the server knows."""
        tell = self.world.progress
        while tell is not None:
            await asyncio.sleep(TELL_S)
            tell(f"{action} is carried out by {self._url}", None, None)

    async def _invoked_here(self, action: str, value: Any, actor: Actor | None) -> Any:
        if self._here is None:
            self._here = self._make_here()
            self._here.world.progress = self.world.progress
        own = None if actor == WHO_IS_ASKED else actor
        return await self._here.invoke(action, value, actor=own or self._here.actor)

    async def close(self) -> None:
        """Let go of connections, and of what was opened here."""
        await self._client.close()
        if self._here is not None:
            await self._here.close()
