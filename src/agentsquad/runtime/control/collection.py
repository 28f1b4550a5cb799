"""Actions on many resources, and on one as a value: list a page, put one.

Pages are in the order of names and go on after a name, so what is written
meanwhile neither repeats nor hides a resource that was there all along.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.hashing import digest
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.kernel.resource import API_VERSION, Kind
from agentsquad.runtime.control.contract import (
    CursorError,
    Expressions,
    ResourceChangedError,
    ResourceExistsError,
    Shipped,
)
from agentsquad.runtime.control.resource import (
    PREFIX,
    SHIPPED,
    applied_event,
    kind_named,
    plain,
    refuse_elsewhere,
    stored,
)
from agentsquad.runtime.control.selector import Selector, shown

LIMIT_MAX = 1_000
FIELDS_MAX = 50
WORKFLOW = "AgentWorkflow"
MARK = "r1"


class ListInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which resources, and how many at a time."""

    kind: Annotated[
        str, Meta(description="kind, singular or plural, in any case", examples=["agents"])
    ]
    selector: Annotated[
        str,
        Meta(description="only with these labels", examples=["env=prod,tier in (web, api),!beta"]),
    ] = ""
    fields: Annotated[
        tuple[str, ...],
        Meta(
            description="only these fields of each, by dots",
            examples=[["spec.model"]],
            max_length=FIELDS_MAX,
        ),
    ] = ()
    limit: Annotated[int, Meta(description="at most this many", ge=1, le=LIMIT_MAX)] = 100
    cursor: Annotated[
        str | None, Meta(description="go on after the page whose `next` this was")
    ] = None


class ResourceList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of resources by name; `next` is the cursor of the one that
    follows. `revision` is the newest event that counted: events after it tell
    what changed since."""

    items: tuple[dict[str, Any], ...]
    next: str | None = None
    revision: int = 0


@action(
    "resources.list",
    effect=Effect.READ,
    cli=("resources", "list"),
    positional=("kind",),
    examples=(
        "squad resources list agents --selector 'team=payments'",
        "squad resources list agents --limit 20 --fields spec.model -o json",
    ),
)
async def list_resources(ctx: Context, value: ListInput) -> ResourceList:
    """List the resources of a kind, a page at a time.

    What ships with the program is there too, with `status.origin` shipped.
    """
    kind = kind_named(ctx.port(Registry).kinds, value.kind).name
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    selector = Selector(value.selector)
    asked = digest([kind, value.selector])
    after = "" if value.cursor is None else read_cursor(value.cursor, asked)
    revision = await store.size()
    shipped = {
        one["metadata"]["name"]: {**one, "status": SHIPPED}
        for one in ctx.port(Shipped).resources(kind)  # type: ignore[type-abstract]
    }
    prefix = f"{PREFIX}{kind}/"
    names = {stream.removeprefix(prefix) for stream, _ in await store.streams(prefix)}
    items: list[dict[str, Any]] = []
    for name in sorted(name for name in {*names, *shipped} if name > after):
        held = (await stored(store, kind, name)).resource if name in names else None
        resource = held or shipped.get(name)
        if resource is None or not selector.fits(resource):
            continue
        if len(items) == value.limit:
            last = items[-1]["metadata"]["name"]
            return _page(items, value.fields, cursor(asked, last), revision)
        items.append(resource)
    return _page(items, value.fields, None, revision)


def _page(
    items: Sequence[Mapping[str, Any]], fields: Sequence[str], after: str | None, revision: int
) -> ResourceList:
    return ResourceList(
        items=tuple(shown(one, fields) for one in items), next=after, revision=revision
    )


def cursor(asked: str, last: str) -> str:
    """Return the cursor of the page after a name, in one list only."""
    text = msgspec.json.encode([MARK, asked[-12:], last])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_cursor(text: str, asked: str) -> str:
    """Return the name a page goes on after; CursorError for another list's."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        mark, whose, last = msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[str, str, str]
        )
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise CursorError(hint="give `next` of the page before, as it was") from None
    if (mark, whose) != (MARK, asked[-12:]):
        raise CursorError(
            "this cursor is of another list", hint="the kind and the selector stay the same"
        )
    return last


class PutInput(msgspec.Struct, frozen=True, kw_only=True):
    """One resource, and what it may replace."""

    kind: Annotated[str, Meta(description="its kind, in any case", examples=["Agent"])]
    name: Annotated[str, Meta(description="its name, a DNS label", examples=["matcher"])]
    resource: Annotated[
        dict[str, Any],
        Meta(
            description="the manifest as JSON; apiVersion, kind and metadata.name may be left out",
            examples=[{"spec": {"role": "matches invoices"}}],
        ),
    ]
    expect: Annotated[
        str | None, Meta(description="replace it only if this is its revision (ETag)")
    ] = None
    create: Annotated[bool, Meta(description="only if there is none of that name")] = False


class PutOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The resource as it is kept now, its revision (a digest), and whether it
    is new or was changed."""

    resource: dict[str, Any]
    revision: str
    created: bool
    changed: bool


@action(
    "resources.put",
    effect=Effect.WRITE,
    cli=("resources", "put"),
    positional=("kind", "name"),
    examples=("""squad resources put agent clerk --resource '{"spec": {"role": "a clerk"}}'""",),
)
async def put_resource(ctx: Context, value: PutInput) -> PutOutput:
    """Make one resource what a value says, as `squad apply` does with a
    manifest.

    With `expect` it is replaced only if nobody changed it since it was read.
    """
    from agentsquad.kernel.manifest import load  # seldom needed: loaded late
    from agentsquad.runtime.control.net.gate import refuse_stuck

    kinds = ctx.port(Registry).kinds
    kind = kind_named(kinds, value.kind)
    refuse_elsewhere(ctx, kind)
    text = msgspec.json.encode(_complete(kind, value)).decode()
    [resource] = load(text, file=f"{kind.name}/{value.name}", kinds=kinds)
    wanted = plain(resource)
    if kind.name == WORKFLOW:
        refuse_stuck(wanted, ctx.port(Expressions))  # type: ignore[type-abstract]
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    held = await stored(store, kind.name, value.name)
    refuse_changed(value.expect, held.digest)
    if value.create and held.resource is not None:
        raise ResourceExistsError(f"there is a {kind.name} named {value.name!r} already")
    event = applied_event(wanted, str(ctx.actor))
    revision = str(event.payload["digest"])
    changed = held.digest != revision
    if changed:
        await store.append([event], expect={event.stream: held.version})
    return PutOutput(
        resource=wanted, revision=revision, created=held.resource is None, changed=changed
    )


def refuse_changed(expected: str | None, revision: str | None) -> None:
    """Raise ResourceChangedError unless a resource is still the one that was
    read; a revision may be cut short, to 16 digits at least."""
    if expected is None:
        return
    given = expected.removeprefix("sha256:")
    if len(given) < 16 or not (revision or "").removeprefix("sha256:").startswith(given):
        raise ResourceChangedError(details={"revision": revision})


def _complete(kind: Kind, value: PutInput) -> dict[str, Any]:
    """Return the manifest with what kind and name say; refused where it says
    otherwise itself."""
    resource = {key: item for key, item in value.resource.items() if key != "status"}
    metadata = resource.get("metadata", {})
    if isinstance(metadata, Mapping):
        metadata = {"name": value.name, **metadata}
    whole = {"apiVersion": API_VERSION, "kind": kind.name, **resource, "metadata": metadata}
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if whole["kind"] != kind.name or (name is not None and name != value.name):
        raise InvalidError(
            f"the manifest is of {str(whole['kind'])[:64]}/{str(name)[:64]}, "
            f"not of {kind.name}/{value.name}",
            code="resource.mismatch",
            hint="leave kind and name out of it, or make them one",
        )
    return whole
