"""Watching: events as the notifications that a client subscribed to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.jsonrpc import PARAMS, RpcError
from agentsquad.surfaces.gateway.contract import Caller, Following, Gateway
from agentsquad.surfaces.mcp import resources

URIS_MAX = 1000
UPDATED = "notifications/resources/updated"
LIST_CHANGED = "notifications/resources/list_changed"


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants to hear of."""

    uris: frozenset[str] = frozenset()
    lists: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as the protocol writes it."""
        body: dict[str, Any] = {}
        if self.lists:
            body["resourcesListChanged"] = True
        if self.uris:
            body["resourceSubscriptions"] = sorted(self.uris)
        return body


def wanted(params: Mapping[str, Any]) -> Filter:
    """Read what a client asks to hear of; tools and prompts never change while
    a server runs, so nothing is promised about them."""
    told = params.get("notifications")
    if not isinstance(told, dict):
        raise RpcError("expected notifications to be an object", number=PARAMS)
    uris = told.get("resourceSubscriptions", [])
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise RpcError("expected resourceSubscriptions to be a list of texts", number=PARAMS)
    if len(uris) > URIS_MAX:
        raise RpcError(f"at most {URIS_MAX} resources in one subscription", number=PARAMS)
    for uri in uris:
        resources.place(uri)
    return Filter(uris=frozenset(uris), lists=told.get("resourcesListChanged") is True)


async def notifications(
    gateway: Gateway, caller: Caller, which: Callable[[], Filter], after: int
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Return what there is to tell, as it happens; `which` says what is wanted
    at that moment."""
    async for event in gateway.follow(caller, Following(after=after)):
        now = which()
        for uri in resources.touched(event):
            if uri in now.uris:
                yield UPDATED, {"uri": uri}
        if now.lists and resources.renews_list(event):
            yield LIST_CHANGED, {}
