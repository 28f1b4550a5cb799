"""Routes: every address of REST, made from what the gateway offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentsquad.kernel.ports import Clock
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.contract import Gateway
from agentsquad.surfaces.gateway.operation import Operation
from agentsquad.surfaces.gateway.shapes import schema_of
from agentsquad.surfaces.gateway.sse import MEDIA_TYPE
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.blobs import give_blob, keep_blob
from agentsquad.surfaces.rest.cache import Cache
from agentsquad.surfaces.rest.calls import called, carried, looked_up, replied
from agentsquad.surfaces.rest.contract import Options, PreconditionError
from agentsquad.surfaces.rest.endpoint import Elsewhere, Endpoint, Handler
from agentsquad.surfaces.rest.events import followed
from agentsquad.surfaces.rest.example import example_of
from agentsquad.surfaces.rest.negotiation import wants
from agentsquad.surfaces.rest.openapi import document
from agentsquad.surfaces.rest.page import asset_routes, page_routes
from agentsquad.surfaces.rest.proofs import prove
from agentsquad.surfaces.rest.readings import Reading, readings
from agentsquad.surfaces.rest.reply import Reply, digest, revision_in, tags_in
from agentsquad.surfaces.rest.resources import Resources
from agentsquad.surfaces.rest.tree import Tree
from agentsquad.trust.identity.office import Desk

PREFIXES = ("/v1/namespaces/{ns}", "/v1")
ENDED = ("completed", "failed", "cancelled")


class Rest:
    """The surface: its routes, and what must be closed with it."""

    def __init__(
        self,
        gateway: Gateway,
        registry: Registry,
        clock: Clock,
        options: Options | None = None,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._registry = registry
        self._options = options or Options()
        self.cache = Cache(gateway, self._options)
        self.addresses: dict[str, Endpoint] = {}
        self.routes: list[BaseRoute] = self._made()

    async def close(self) -> None:
        """Stop listening to events."""
        await self.cache.close()

    def _made(self) -> list[BaseRoute]:
        gateway, options = self._gateway, self._options
        resources = Resources(self.cache)
        one = {
            "GET": resources.got,
            "PUT": resources.put,
            "PATCH": resources.patched,
            "DELETE": resources.deleted,
        }
        addresses: dict[str, Mapping[str, Handler]] = {
            "/actions": {"GET": self._listed},
            "/actions/{action}": {"GET": self._described, "POST": self._called},
            **self._readings(),
            "/blobs": {"POST": keep_blob},
            "/blobs/{digest}": {"GET": give_blob},
            "/proofs/{subject}": {"GET": prove},
            "/resources/{kind}": {"GET": resources.listed},
            "/resources/{kind}/{name}": one,
        }
        named = PREFIXES[0]
        for path, handlers in addresses.items():
            limit = options.blob_max if path == "/blobs" else None
            for prefix in PREFIXES:
                endpoint = Endpoint(gateway, options, prefix + path, handlers, body_max=limit)
                self.addresses[prefix + path] = endpoint
        for path, handlers in (("/{kind}", {"GET": resources.listed}), ("/{kind}/{name}", one)):
            self.addresses[named + path] = Endpoint(gateway, options, named + path, handlers)
        tree = Tree(self.addresses, Elsewhere(gateway, options))
        described = page_routes(
            gateway, options, lambda: document(gateway, self._registry, options)
        )
        return [Route("/v1", tree), Route("/v1/{rest:path}", tree), *described]

    def _readings(self) -> dict[str, dict[str, Handler]]:
        found: dict[str, dict[str, Handler]] = {}
        for one in readings(self._gateway.operations()):
            found.setdefault(one.path, {})[one.method] = self._reading(one)
        return found

    def _reading(self, reading: Reading) -> Handler:
        """Return what answers one reading."""
        operation = self._gateway.operation(reading.action)

        async def read(asked: Asked) -> Reply | Response:
            accept = asked.request.headers.get("accept")
            if reading.path == "/events" and wants(accept, MEDIA_TYPE):
                return await followed(asked, self._clock)
            value = asked.parameters(operation, _held(asked))
            return await looked_up(asked, operation, value, self.cache)

        async def write(asked: Asked) -> Reply | Response:
            return await self._written(asked, reading, operation)

        return read if reading.method == "GET" else write

    async def _written(self, asked: Asked, reading: Reading, operation: Operation) -> Reply:
        held = _held(asked)
        await self._unchanged(asked, held)
        value = {**asked.value(), **held}
        try:
            reply = await called(asked, operation, value)
        finally:
            self.cache.changed((await asked.caller()).namespace)
        if reading.location:
            self._place(asked, reading, reply)
        return reply

    async def _unchanged(self, asked: Asked, held: Mapping[str, Any]) -> None:
        """Refuse what is bound by If-Match to another state of a run."""
        wanted = asked.request.headers.get("if-match")
        if wanted is None or "run" not in held:
            return
        operation = self._gateway.operation("runs.show")
        answer = await carried(asked, operation, held)
        now = digest(msgspec.json.encode(answer.value))
        tags = tags_in(wanted)
        if "*" not in tags and now not in [revision_in(tag) for tag in tags]:
            raise PreconditionError(details={"now": now})

    def _place(self, asked: Asked, reading: Reading, reply: Reply) -> None:
        """Say where what was made is, and whether it is done already."""
        output = reply.value if isinstance(reply.value, dict) else {}
        made = output.get(reading.location)
        if not isinstance(made, str):
            return
        base = asked.request.url.path.rstrip("/")
        reply.headers["Location"] = f"{base}/{quote(made, safe='')}"
        reply.status = reading.status if output.get("status") in ENDED else 202

    async def _listed(self, asked: Asked) -> Reply:
        """List the actions there are."""
        await asked.caller()
        items = [
            {
                "name": one.action,
                "summary": one.summary,
                "effect": one.effect,
                "realm": one.realm,
                "command": " ".join(("squad", *one.path)),
            }
            for one in self._gateway.operations()
        ]
        return Reply(value={"items": items})

    async def _described(self, asked: Asked) -> Reply:
        """Describe one action: its words, schemas, files and an example."""
        await asked.caller()
        operation = self._gateway.operation(asked.path["action"])
        shape = schema_of(self._registry.action(operation.action))
        value = {
            **msgspec.to_builtins(operation),
            "input": shape.input,
            "output": shape.output,
            "example": example_of(operation),
            "command": operation.example,
        }
        return Reply(value=value)

    async def _called(self, asked: Asked) -> Reply:
        """Call an action."""
        operation = self._gateway.operation(asked.path["action"])
        value = asked.value()
        if operation.effect == "pure":
            return await looked_up(asked, operation, value, self.cache)
        if operation.effect == "read":
            return replied(asked, operation, await carried(asked, operation, value))
        try:
            return await called(asked, operation, value)
        finally:
            self.cache.changed((await asked.caller()).namespace)


def _held(asked: Asked) -> dict[str, str]:
    """Return the parts of an address that are fields of the input."""
    return {name: text for name, text in asked.path.items() if name != "ns"}


def routes(
    gateway: Gateway, registry: Registry, clock: Clock, options: Options | None = None
) -> list[BaseRoute]:
    """Return the routes of REST; `Rest` is for who closes it too."""
    return Rest(gateway, registry, clock, options).routes


def auth_routes(
    gateway: Gateway, desk: Callable[[], Desk], options: Options | None = None
) -> list[BaseRoute]:
    """Return the pages and endpoints of signing in; `desk` is identity's over
    the log of the installation."""
    from agentsquad.surfaces.rest.account import AccountPages
    from agentsquad.surfaces.rest.auth import BODY_MAX
    from agentsquad.surfaces.rest.elsewhere import SigningInElsewhere
    from agentsquad.surfaces.rest.oauth import OAuthEndpoints
    from agentsquad.surfaces.rest.sign_in import SigningIn

    used = options or Options()
    signing_in = SigningIn(desk)
    addresses = {
        **signing_in.addresses(),
        **SigningInElsewhere(desk, signing_in.gone_on).addresses(),
        **OAuthEndpoints(desk).addresses(),
        **AccountPages(desk).addresses(),
    }
    found: list[BaseRoute] = [
        Route(path, Endpoint(gateway, used, path, handlers, body_max=BODY_MAX))
        for path, handlers in addresses.items()
    ]
    return [*found, *asset_routes(gateway, used)]
