"""Resources: what should be, by kind and name, read and written whole.

A resource's entity tag is the digest of the resource, so that what one writes
can be bound to what one has read (`If-Match`), or to there being nothing yet
(`If-None-Match: *`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from agentsquad.kernel.errors import ConflictError, MissingError
from agentsquad.kernel.hashing import digest
from agentsquad.runtime.control.resource import SHIPPED, kind_named
from agentsquad.surfaces.gateway.contract import Answer
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.cache import Cache
from agentsquad.surfaces.rest.calls import carried, looked_up
from agentsquad.surfaces.rest.contract import PreconditionError
from agentsquad.surfaces.rest.events import watched
from agentsquad.surfaces.rest.reply import TAG_LENGTH, Reply, revision_in, tag_of, tags_in

LIST, GET, PUT, DELETE = "resources.list", "resources.get", "resources.put", "resources.delete"
SPELLINGS_MAX = 1_000
LOST = ("ledger.expect", "resource.stale", "resource.exists")


def revision_of(resource: Any) -> str:
    """Return what names the state of a resource."""
    return _cut(digest(resource))


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
        self._kinds: dict[str, str] = {}

    def _kind(self, asked: Asked) -> str:
        word = asked.path["kind"]
        known = self._kinds.get(word)
        if known is None:
            known = kind_named(asked.gateway.kinds(), word).name
            if len(self._kinds) >= SPELLINGS_MAX:  # in any case: there are many
                self._kinds.clear()
            self._kinds[word] = known
        return known

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
        return await looked_up(asked, operation, value, self._cache, revision_of)

    async def put(self, asked: Asked) -> Reply:
        """Make a resource what the body says."""
        held = await self._held(asked) if _conditional(asked) else None
        if _conditional(asked):
            self._hold(asked, held)
        return await self._written(asked, asked.value(), held)

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

    async def _written(self, asked: Asked, body: Mapping[str, Any], held: Any | None) -> Reply:
        """Write what was decided upon; refused where what it was decided upon
        is there no more."""
        kind, name = self._kind(asked), asked.path["name"]
        value: dict[str, Any] = {"kind": kind, "name": name, "resource": dict(body)}
        value |= _bound(held, asked)
        try:
            answer = await carried(asked, asked.gateway.operation(PUT), value, key=asked.key)
        except ConflictError as error:
            if _conditional(asked) and error.code in LOST:
                raise PreconditionError(details=error.details) from None
            raise
        finally:
            self._cache.changed((await asked.caller()).namespace)
        made = answer.value
        headers = _replayed(answer)
        headers["ETag"] = tag_of(_cut(made["revision"]), "json")
        if made["created"]:
            headers["Location"] = asked.request.url.path
        return Reply(
            value=made["resource"], status=201 if made["created"] else 200, headers=headers
        )

    async def deleted(self, asked: Asked) -> Reply:
        """Take a resource away."""
        kind, name = self._kind(asked), asked.path["name"]
        operation = asked.gateway.operation(DELETE)
        value = asked.parameters(operation, {"kind": kind, "name": name})
        if _conditional(asked):
            held = await self._held(asked)
            self._hold(asked, held)
            value |= {k: v for k, v in _bound(held, asked).items() if k == "expect"}
        try:
            answer = await carried(asked, operation, value, key=asked.key)
        finally:
            self._cache.changed((await asked.caller()).namespace)
        return Reply(value=answer.value, headers=_replayed(answer))

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


def _bound(held: Mapping[str, Any] | None, asked: Asked) -> dict[str, Any]:
    """Return what binds a write to what was read: to its revision, or to
    nobody having put one in the place of what ships."""
    if "if-none-match" in asked.request.headers or (held and held.get("status") == SHIPPED):
        return {"create": True}
    return {} if held is None else {"expect": digest(_own(held))}


def _cut(revision: str) -> str:
    return revision.removeprefix("sha256:")[:TAG_LENGTH]


def _replayed(answer: Answer) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if answer.replayed else {}
