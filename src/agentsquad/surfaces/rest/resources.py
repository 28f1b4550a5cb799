"""Resources: what should be, by kind and name, read and written whole.

A resource's entity tag is the digest of the resource, so that what one writes
can be bound to what one has read (`If-Match`), or to there being nothing yet
(`If-None-Match: *`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import ConflictError, MissingError
from agentsquad.kernel.hashing import digest
from agentsquad.kernel.resource import API_VERSION
from agentsquad.runtime.control.resource import kind_named
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.cache import Cache
from agentsquad.surfaces.rest.calls import carried, looked_up
from agentsquad.surfaces.rest.contract import BodyError, PreconditionError
from agentsquad.surfaces.rest.events import watched
from agentsquad.surfaces.rest.reply import TAG_LENGTH, Reply, revision_in, tags_in

LIST, GET, PUT, DELETE = "resources.list", "resources.get", "resources.put", "resources.delete"
NAMED = ("kind", "name")


def revision_of(resource: Any) -> str:
    """Return what names the state of a resource."""
    return digest(resource).removeprefix("sha256:")[:TAG_LENGTH]


def merged(target: Any, patch: Any) -> Any:
    """Return a value with a merge patch applied (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


class Resources:
    """The handlers of resources."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def _kind(self, asked: Asked) -> str:
        return kind_named(asked.gateway.kinds(), asked.path["kind"]).name

    async def listed(self, asked: Asked) -> Reply | Response:
        """List the resources of a kind, or watch them change."""
        kind = self._kind(asked)
        if asked.flag("watch"):
            return await watched(asked, kind, None)
        operation = asked.gateway.operation(LIST)
        value = asked.parameters(operation, {"kind": kind})
        return await looked_up(asked, operation, value, self._cache)

    async def got(self, asked: Asked) -> Reply | Response:
        """Return one resource, or watch it change."""
        kind, name = self._kind(asked), asked.path["name"]
        if asked.flag("watch"):
            return await watched(asked, kind, name)
        operation = asked.gateway.operation(GET)
        value = asked.parameters(operation, {"kind": kind, "name": name})
        reply = await looked_up(asked, operation, value, self._cache)
        reply.revision = revision_of(reply.value)
        return reply

    async def put(self, asked: Asked) -> Reply:
        """Make a resource what the body says."""
        return await self._written(asked, asked.value())

    async def patched(self, asked: Asked) -> Reply:
        """Change parts of a resource, by a merge patch."""
        held = await self._held(asked)
        if held is None:
            raise MissingError(
                f"no {self._kind(asked)} named {asked.path['name']!r}",
                code="resource.missing",
                hint="PUT makes one",
            )
        self._hold(asked, held)
        return await self._written(asked, merged(_own(held), asked.value()), held)

    async def _written(
        self, asked: Asked, body: Mapping[str, Any], held: Any | None = None
    ) -> Reply:
        kind, name = self._kind(asked), asked.path["name"]
        resource = _complete(body, kind, name)
        if held is None:
            held = await self._held(asked)
            self._hold(asked, held)
        operation = asked.gateway.operation("resources.apply")
        text = canonical.dumps(resource).decode()
        value = {"file": [{"name": f"{name}.json", "text": text}]}
        try:
            answer = await carried(asked, operation, value, key=asked.key)
        except ConflictError as error:
            if _conditional(asked) and error.code == "ledger.expect":
                raise PreconditionError() from None
            raise
        finally:
            self._cache.changed((await asked.caller()).namespace)
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        headers["ETag"] = f'"{revision_of(resource)}.json"'
        if held is None:
            headers["Location"] = asked.request.url.path
        return Reply(value=resource, status=201 if held is None else 200, headers=headers)

    async def deleted(self, asked: Asked) -> Reply:
        """Take a resource away."""
        kind, name = self._kind(asked), asked.path["name"]
        operation = asked.gateway.operation(DELETE)
        value = asked.parameters(operation, {"kind": kind, "name": name})
        if _conditional(asked):
            self._hold(asked, await self._held(asked))
        try:
            answer = await carried(asked, operation, value, key=asked.key)
        finally:
            self._cache.changed((await asked.caller()).namespace)
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        return Reply(value=answer.value, headers=headers)

    async def _held(self, asked: Asked) -> Any | None:
        """Return what there is now; None if nothing."""
        operation = asked.gateway.operation(GET)
        value = {"kind": self._kind(asked), "name": asked.path["name"]}
        try:
            return (await carried(asked, operation, value)).value
        except MissingError as error:
            if error.code == "resource.missing":
                return None
            raise

    def _hold(self, asked: Asked, held: Any | None) -> None:
        """Refuse what is bound to another state than the one there is."""
        headers = asked.request.headers
        revision = None if held is None else revision_of(held)
        wanted = headers.get("if-match")
        if wanted is not None:
            found = tags_in(wanted)
            same = revision is not None and (
                "*" in found or revision in [revision_in(tag) for tag in found]
            )
            if not same:
                raise PreconditionError(details={"now": revision})
        unwanted = headers.get("if-none-match")
        if unwanted is not None and revision is not None:
            found = tags_in(unwanted)
            if "*" in found or revision in [revision_in(tag) for tag in found]:
                raise PreconditionError("it is there already", details={"now": revision})


def _conditional(asked: Asked) -> bool:
    return "if-match" in asked.request.headers or "if-none-match" in asked.request.headers


def _own(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource as it is applied: what is observed of it left out."""
    return {name: value for name, value in resource.items() if name != "status"}


def _complete(body: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return a resource with what its address says; refused where they
    differ."""
    metadata = body.get("metadata", {})
    if not isinstance(metadata, dict):
        raise BodyError("metadata is an object", hint='e.g. "metadata": {"labels": {}}')
    for what, said, address in (
        ("kind", body.get("kind", kind), kind),
        ("metadata.name", metadata.get("name", name), name),
    ):
        if said != address:
            raise BodyError(
                f"{what} is {str(said)[:60]!r} in the body and {address!r} in the address",
                hint="leave it out of the body, or make them one",
            )
    return {
        **_own(body),
        "apiVersion": body.get("apiVersion", API_VERSION),
        "kind": kind,
        "metadata": {**metadata, "name": name},
    }
