"""Actions of deployment: deploy, see what was deployed, retire a version."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import ConflictError, InvalidError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.kernel.registry import Registry, nearest
from agentsquad.operations.deployment import candidate as candidates
from agentsquad.operations.deployment.check import Check
from agentsquad.operations.deployment.contract import (
    RETIRED,
    STREAM,
    DeploymentMissingError,
    NeededError,
    RaceError,
    Report,
)
from agentsquad.operations.deployment.deploy import Candidate, Deployer, Order
from agentsquad.operations.deployment.stored import Made, Shelf, StoredDeployments, short
from agentsquad.runtime.control.interpret import NAME
from agentsquad.runtime.engine.contract import Deployments
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.versions import versions_of
from agentsquad.runtime.engine.waiting import DEFINITIONS, WAITING
from agentsquad.runtime.engine.waiting import NAME as OPEN
from agentsquad.runtime.ledger.contract import Ledger, Query


class DeployInput(msgspec.Struct, kw_only=True):
    """What to deploy, and how."""

    file: Annotated[
        str | None,
        Meta(
            description="Python file, folder of modules, or YAML manifest with AgentWorkflows",
            examples=["orders.py"],
        ),
    ] = None
    check: Annotated[bool, Meta(description="only say what would become of the open runs")] = False
    closed: Annotated[
        int, Meta(description="also replay so many ended runs", ge=0, examples=[50])
    ] = 0
    seed: Annotated[str, Meta(description="which ended runs are drawn")] = "1"
    adopt: Annotated[bool, Meta(description="move the open runs that go on unchanged")] = True
    force: Annotated[bool, Meta(description="deploy even if runs would be stuck")] = False
    rollback: Annotated[
        str | None,
        Meta(
            description="name of a deployment whose version before is to serve again, or the "
            "beginning of a digest",
            examples=["orders"],
        ),
    ] = None
    reason: Annotated[str, Meta(description="why; kept in the log")] = ""


@action(
    "deployments.deploy",
    effect=Effect.WRITE,
    cli=("deploy",),
    positional=("file",),
    examples=(
        "squad deploy orders.py --check",
        "squad deploy orders.py --reason 'two signatures above 1,000'",
        "squad deploy --rollback orders",
    ),
    files={"file": "in"},
)
async def deploy(ctx: Context, value: DeployInput) -> Report:
    """Deploy workflows from a file; no open run is stranded.

    Every open run is replayed against the new code, with no effect. Those whose
    history it would have written are moved to it; the others go on under the
    version they began with, which stays in the store. Nothing is changed when a
    run could do neither. The file is run to see what it offers, with the rights
    of this process. Exit 1 when a check finds that runs would be stuck.
    """
    deployments = await _deployments(ctx)
    found = await _candidates(ctx, value, deployments)
    order = Order(
        check=value.check,
        adopt=value.adopt,
        force=value.force,
        closed=value.closed,
        seed=value.seed,
        reason=value.reason,
        rollback=value.rollback is not None,
    )
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
    versions = versions_of(ctx.port(World))
    check = Check(store, blobs, ctx.port(Ledger), versions, frozenset(ctx.port(Registry).actions))
    deployer = Deployer(store, blobs, check, ctx.actor, ctx.progress)
    if not value.check and len(found) > 1 and not value.force:
        await _refuse_any(deployer, found, deployments.shelf)
    reports = []
    for one in found:
        reports.append(await deployer.deploy(one, deployments.shelf, order))
        await deployments.refresh()
    return together(reports)


async def _refuse_any(deployer: Deployer, found: list[Candidate], shelf: Shelf) -> None:
    """Refuse several at once before any of them is deployed."""
    from agentsquad.operations.deployment.deploy import stranded

    for one in found:
        report = await deployer.deploy(one, shelf, Order(check=True))
        if report.stuck:
            raise stranded(report)


async def _deployments(ctx: Context) -> StoredDeployments:
    deployments = ctx.port(Deployments)  # type: ignore[type-abstract]
    await deployments.refresh()
    assert isinstance(deployments, StoredDeployments)
    return deployments


async def _candidates(
    ctx: Context, value: DeployInput, deployments: StoredDeployments
) -> list[Candidate]:
    versions = versions_of(ctx.port(World))
    if (value.file is None) == (value.rollback is None):
        raise InvalidError(
            "name either a file or, with --rollback, what to take back",
            code="deploy.what",
            hint="squad deploy FILE, or squad deploy --rollback NAME",
        )
    if value.file is not None:
        return await candidates.read(ctx, value.file, versions, deployments.shelf)
    text = str(value.rollback)
    shelf = deployments.shelf
    made = shelf.before(text)
    if made is None:
        found = [one for one in shelf.found(text) if not one.retired]
        if text not in shelf.newest and len(found) == 1:
            made = found[0]
        elif text not in shelf.newest and found and len({one.name for one in found}) == 1:
            made = shelf.before(found[0].name)
    if made is None:
        raise DeploymentMissingError(
            f"there is no version before of {text!r}",
            hint=nearest(text, shelf.newest) or "squad deployments list",
        )
    return [await candidates.older(ctx, made, versions, deployments)]


def together(reports: list[Report]) -> Report:
    """Return the report of all that one file held."""
    first = reports[0]
    if len(reports) == 1:
        return first
    return msgspec.structs.replace(
        first,
        name=", ".join(one.name for one in reports),
        workflows=tuple(name for one in reports for name in one.workflows),
        open=sum(one.open for one in reports),
        continue_=sum(one.continue_ for one in reports),
        pinned=sum(one.pinned for one in reports),
        stuck=sum(one.stuck for one in reports),
        runs=[run for one in reports for run in one.runs],
        adopted=sum(one.adopted for one in reports),
        unchanged=all(one.unchanged for one in reports),
    )


class DeploymentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One version: since when it serves or served, by whom, and how many open
    runs it has."""

    name: str
    version: str
    state: str
    kind: str
    since: str
    by: str
    open: int
    workflows: tuple[str, ...]
    reason: str
    digest: str


class DeploymentList(msgspec.Struct, frozen=True):
    """Versions, oldest first."""

    items: list[DeploymentLine]


class DeploymentsInput(msgspec.Struct, kw_only=True):
    """Nothing to say."""


@action("deployments.list", effect=Effect.READ, cli=("deployments", "list"))
async def list_deployments(ctx: Context, value: DeploymentsInput) -> DeploymentList:
    """List every version that was deployed, and how many open runs each has."""
    deployments = await _deployments(ctx)
    counts = await _open(ctx)
    shelf = deployments.shelf
    return DeploymentList(
        [_line(made, shelf, counts) for made in sorted(shelf.versions.values(), key=_age)]
    )


class ShowInput(msgspec.Struct, kw_only=True):
    """Which deployment."""

    name: Annotated[
        str,
        Meta(
            description="name of a deployment or workflow, or the beginning of a digest",
            examples=["orders"],
        ),
    ]


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment: its versions, and the source of the newest of those."""

    name: str
    versions: list[DeploymentLine]
    files: dict[str, str]


@action("deployments.show", effect=Effect.READ, cli=("deployments", "show"), positional=("name",))
async def show_deployment(ctx: Context, value: ShowInput) -> DeploymentView:
    """Show the versions of a deployment, and the source of the newest of
    them."""
    deployments = await _deployments(ctx)
    shelf = deployments.shelf
    found = sorted(_named(shelf, value.name), key=_age)
    counts = await _open(ctx)
    last = found[-1]
    files = {}
    if last.kind == "python" and not last.erased:
        source = await deployments.source(last)
        files = {path: data.decode(errors="replace") for path, data in source.files.items()}
    lines = [_line(made, shelf, counts) for made in found]
    return DeploymentView(name=last.name, versions=lines, files=files)


class RetireInput(msgspec.Struct, kw_only=True):
    """Which version goes."""

    version: Annotated[
        str, Meta(description="the beginning of its digest", examples=["3f2a91c04d11"])
    ]
    erase: Annotated[
        bool, Meta(description="remove its source too; its ended runs cannot be replayed then")
    ] = False
    reason: Annotated[str, Meta(description="why; kept in the log")] = ""


@action(
    "deployments.retire",
    effect=Effect.WRITE,
    cli=("deployments", "retire"),
    positional=("version",),
    examples=("squad deployments retire 3f2a91c04d11 --reason 'no run needs it'",),
)
async def retire(ctx: Context, value: RetireInput) -> DeploymentLine:
    """Retire a version that no open run needs and no new run takes."""
    deployments = await _deployments(ctx)
    shelf = deployments.shelf
    seen = shelf.size
    found = [made for made in _named(shelf, value.version) if not made.retired]
    if len(found) != 1:
        raise DeploymentMissingError(
            f"{value.version!r} means {len(found)} versions that are not retired",
            hint="give the beginning of one digest: squad deployments list",
        )
    made = found[0]
    if shelf.newest.get(made.name) == made.digest:
        raise NeededError(
            f"new runs of {', '.join(made.workflows)} take version {short(made.digest)}",
            hint="deploy another version first",
        )
    still = (await _open(ctx)).get(made.digest, 0)
    if still:
        raise NeededError(
            f"{still} open runs run under version {short(made.digest)} of {made.name}",
            hint="wait until they have ended, or move them: squad deploy FILE --check",
        )
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    body = {"name": made.name, "digest": made.digest, "reason": value.reason}
    told = NewEvent(
        stream=STREAM,
        type=RETIRED,
        payload={**body, "erased": value.erase},
        actor=str(ctx.actor),
    )
    try:
        await store.append([told], expect={STREAM: seen})
    except ConflictError as error:
        raise RaceError(
            "somebody else deployed meanwhile; nothing was changed",
            hint="squad deployments list shows what",
        ) from error
    await deployments.refresh()
    if value.erase:
        await _erase(ctx, made, shelf)
    return _line(shelf.versions[made.name, made.digest], shelf, {})


async def _erase(ctx: Context, made: Made, shelf: Shelf) -> None:
    """Remove the files of a version that no other one shares."""
    kept = {
        reference["$blob"]
        for other in shelf.versions.values()
        if not other.erased
        for reference in other.files.values()
    }
    blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
    for reference in made.files.values():
        if reference["$blob"] not in kept:
            await blobs.delete(reference["$blob"])


def _named(shelf: Shelf, text: str) -> list[Made]:
    found = shelf.found(text)
    if not found:
        raise DeploymentMissingError(
            f"nothing was deployed as {text!r}",
            hint=nearest(text, shelf.newest) or "squad deployments list",
        )
    return found


def _age(made: Made) -> tuple[str, int]:
    return (made.times[-1], made.seq)


def _line(made: Made, shelf: Shelf, counts: dict[str, int]) -> DeploymentLine:
    serves = shelf.newest.get(made.name) == made.digest
    state = "retired" if made.retired else "newest" if serves else "kept"
    return DeploymentLine(
        name=made.name,
        version=short(made.digest),
        state=state,
        kind=made.kind,
        since=made.times[-1],
        by=made.actor,
        open=counts.get(made.digest, 0),
        workflows=made.workflows,
        reason=made.reason,
        digest=made.digest,
    )


async def _open(ctx: Context) -> dict[str, int]:
    """Return how many open runs each version has, by its digest; runs of
    manifests by the revision they run."""
    readings = ctx.port(Ledger).readings
    readings.add(WAITING)
    counts: dict[str, int] = {}
    query = Query(order=("workflow", "definition"), limit=10_000)
    interpreted = False
    for row in await readings.select(OPEN, query, DEFINITIONS):
        interpreted |= row["workflow"] == NAME
        counts[row["definition"]] = counts.get(row["definition"], 0) + int(row["open"])
    if interpreted:
        for digest in await candidates.revisions_open(ctx):
            counts[digest] = counts.get(digest, 0) + 1
    return counts
