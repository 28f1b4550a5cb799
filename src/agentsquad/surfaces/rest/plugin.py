"""What REST offers: logging in at a server, and the client that speaks to
one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Plugin
from agentsquad.surfaces.rest.actions import login, logout, whoami
from agentsquad.surfaces.rest.contract import (
    Login,
    Logins,
    Place,
    Screen,
    Servers,
    Waiting,
)

if TYPE_CHECKING:
    from agentsquad.surfaces.rest.adapters.client import ServerClient
    from agentsquad.surfaces.rest.adapters.logins import FileLogins

_OPERATORS = """package rest.operators

actions := {"server.login", "server.logout"}

local if not input.facts.surface

allow contains {"clause": "rest.operators.local", "reason": "it is their own token"} if local
"""


class Elsewhere:
    """Servers elsewhere (`Servers`)."""

    async def whoami(self, place: Place) -> Any:
        """Return who one is there."""
        client = server_client(place, "default")
        try:
            return (await client.call("server.whoami", {}, None)).value
        finally:
            await client.close()

    async def connect(
        self, place: Place, scopes: tuple[str, ...], show: Callable[[Waiting], None]
    ) -> Login:
        """Have a person confirm in a browser that this machine may act as
        them."""
        from agentsquad.surfaces.rest.adapters.signing import SigningIn

        return await SigningIn(place).connect(scopes, show)

    async def disconnect(self, place: Place, login: Login) -> bool:
        """Let a login count no more there; whether the server heard it."""
        from agentsquad.surfaces.rest.adapters.signing import SigningIn

        try:
            await SigningIn(place).end(login)
        except SquadError:
            return False
        return True


def server_client(place: Place, namespace: str, kept: FileLogins | None = None) -> ServerClient:
    """Return what speaks to a server; where the place has no token, with what
    is kept for it."""
    from agentsquad.surfaces.rest.adapters.client import ServerClient
    from agentsquad.surfaces.rest.adapters.signing import Renewal

    return ServerClient(place, namespace, Renewal(place, kept).token if kept else None)


def _screen() -> Screen:
    from agentsquad.surfaces.rest.adapters.screen import StandardScreen

    return StandardScreen()


def logins(environment: Mapping[str, str]) -> FileLogins:
    """Return the logins of this user."""
    from agentsquad.surfaces.rest.adapters.logins import FileLogins, folder_in

    return FileLogins(folder_in(environment), environment.get("SQUAD_CA"))


plugin = Plugin(
    name="rest",
    actions=(login, logout, whoami),
    ports={
        Logins: lambda settings: logins(settings.environment),
        Servers: lambda settings: Elsewhere(),
        Screen: lambda settings: _screen(),
    },
    policies={"rest/operators.rego": _OPERATORS},
)
