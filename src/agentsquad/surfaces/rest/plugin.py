"""What REST offers: logging in at a server, and the client that speaks to
one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentsquad.kernel.registry import Plugin
from agentsquad.surfaces.rest.actions import login, logout, whoami
from agentsquad.surfaces.rest.contract import Logins, Place, Servers

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


def server_client(place: Place, namespace: str) -> ServerClient:
    """Return what speaks to a server."""
    from agentsquad.surfaces.rest.adapters.client import ServerClient

    return ServerClient(place, namespace)


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
    },
    policies={"rest/operators.rego": _OPERATORS},
)
