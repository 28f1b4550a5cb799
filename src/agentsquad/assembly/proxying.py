"""The proxy on a server: agents elsewhere ask models with keys of their own, in
the log of their namespace.

`OPENAI_BASE_URL=https://SERVER/proxy/v1 OPENAI_API_KEY=sqk_…`, or
`ANTHROPIC_BASE_URL=https://SERVER/proxy ANTHROPIC_API_KEY=sqk_…`; the namespace
is that of the header `Squad-Namespace`, else the default one.
"""

from __future__ import annotations

from typing import Any

from agentsquad.integrations.proxy.contract import Answerer
from agentsquad.integrations.proxy.doors import START, Doors
from agentsquad.integrations.proxy.plugin import mounted
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.gateway.http import enter
from agentsquad.trust.access.contract import Access, Ask, Namespaces

PATH = "/proxy"


class ServedProxy:
    """Agents of everybody who may start some; close it before the engines."""

    def __init__(self, gateway: Gateway, access: Access, namespaces: Namespaces) -> None:
        self._gateway = gateway
        self._access = access
        self._namespaces = namespaces
        self._doors = Doors()

    def routes(self) -> list[Any]:
        """Return its routes."""
        return mounted(PATH, self._chosen)

    async def close(self) -> None:
        """End every session: what was asked is answered first."""
        await self._doors.close()

    async def _chosen(self, connection: Any) -> Answerer:
        """Recognise who asks, see that they may, and return who answers."""
        caller = await enter(self._gateway, connection, "proxy")
        ask = Ask(verb=START, effect="write", namespace=caller.namespace, surface="proxy")
        await self._access.require(caller.principal, ask)
        place = await self._namespaces.use(caller.namespace)
        return await self._doors.answerer(place.world, caller.actor)
