"""The actions of the ledger: look at it, weigh it, check it, erase a person,
rebuild what is read from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.ledger import erasure, verification
from agentsquad.runtime.ledger.contract import (
    EventMissingError,
    Ledger,
    RebuildReport,
    RecordStore,
    SubjectMissingError,
    VerifyFailedError,
)
from agentsquad.runtime.ledger.naming import check_type, find_run
from agentsquad.runtime.ledger.verification import ERASED_TYPE, Verified

LIMIT_MAX = 10_000


def described(text: str, *examples: Any) -> msgspec.Meta:
    """Return what help and documentation say of a field."""
    return msgspec.Meta(description=text, examples=list(examples) or None)


class ShowInput(msgspec.Struct, kw_only=True):
    """Which events; without `after` the newest ones."""

    seq: Annotated[int | None, described("Only this event, whole: its number in the log.", 7)] = (
        None
    )
    stream: Annotated[str | None, described("Only events of this stream.", "run/01jd")] = None
    run: Annotated[
        str | None,
        described(
            "Only events of this run and its children; its id may be cut short.", "kooa4lnr33"
        ),
    ] = None
    type: Annotated[str | None, described("Only events of this type.", "run.started")] = None
    after: Annotated[
        int | None, described("Only events with a greater number (seq), oldest first.", 100)
    ] = None
    limit: Annotated[int, described("At most this many.", 20)] = 50


class ShowOutput(msgspec.Struct, kw_only=True):
    """Events in the order of the log, and how many the log has; `whole` when
    one was asked for by its number."""

    items: list[Event]
    size: int
    whole: bool = False


@action(
    "log.show",
    effect=Effect.READ,
    cli=("log", "show"),
    positional=("seq",),
    examples=(
        "squad log show --type run.started",
        "squad log show --after 100 --limit 20",
        "squad log show 7",
    ),
)
async def show(ctx: Context, value: ShowInput) -> ShowOutput:
    """Show events of the log, each checked against its proof."""
    if not 0 <= value.limit <= LIMIT_MAX:
        raise InvalidError(f"the limit is 0 to {LIMIT_MAX}", code="ledger.limit")
    store = _ledger(ctx).store
    size = await store.size()
    if value.seq is not None:
        return ShowOutput(items=await _one(store, value, size), size=size, whole=True)
    if value.type is not None:
        check_type(value.type, store.volume.types())
    if value.stream is not None or value.run is not None:
        events = await _of_streams(store, value)
    elif value.type is not None:
        after = value.after or 0
        if value.after is None:
            places = store.volume.typed([value.type], 0, size)
            after = places[-value.limit :][0] - 1 if places and value.limit else 0
        events = await store.read(after=after, limit=value.limit, types=[value.type])
    else:
        after = max(0, size - value.limit) if value.after is None else value.after
        events = await store.read(after=after, limit=value.limit)
    return ShowOutput(items=events, size=size)


async def _one(store: RecordStore, value: ShowInput, size: int) -> list[Event]:
    seq = value.seq or 0
    if (value.stream, value.run, value.type, value.after) != (None, None, None, None):
        raise InvalidError(
            "an event asked for by its number takes no other choice", code="ledger.show"
        )
    if not 1 <= seq <= size:
        raise EventMissingError(f"there is no event {seq}", hint=f"the log has {size} events")
    return await store.read(after=seq - 1, limit=1)


async def _page(store: RecordStore, stream: str, value: ShowInput) -> list[Event]:
    """Return a page of one stream, without reading what lies before it."""
    lengths = dict(await store.streams(stream))
    length = lengths.get(stream, 0)
    if value.after is None:
        below = max(0, length - value.limit)
    else:
        low, below = 0, length  # after how many of its events is the number passed
        while low < below:
            middle = (low + below) // 2
            found = await store.read_stream(stream, after=middle, limit=1)
            if found and found[0].seq <= value.after:
                low = middle + 1
            else:
                below = middle
    return await store.read_stream(stream, after=below, limit=value.limit)


async def _of_streams(store: RecordStore, value: ShowInput) -> list[Event]:
    if value.stream is not None and value.run is None and value.type is None:
        return await _page(store, value.stream, value)
    names = [value.stream] if value.stream is not None else []
    if value.run is not None:
        root = value.run.partition("/")[0]
        begun = [name for name, _ in await store.streams(f"run/{root}")]
        run = f"run/{find_run(value.run, begun)}"
        names = [name for name in begun if (name + "/").startswith(run + "/")]
    events = [event for name in names for event in await store.read_stream(name)]
    events = sorted(
        (e for e in events if value.type in (None, e.type) and e.seq > (value.after or 0)),
        key=lambda e: e.seq,
    )
    if value.after is None:
        return events[max(0, len(events) - value.limit) :]
    return events[: value.limit]


class StatsInput(msgspec.Struct, kw_only=True):
    """Nothing to ask for."""


class StatsOutput(msgspec.Struct, kw_only=True):
    """The log in numbers."""

    events: int
    streams: int
    bytes: int
    bytes_per_event: float
    types: dict[str, int]
    root: str
    last: str | None


@action("log.stats", effect=Effect.READ, cli=("log", "stats"), examples=("squad log stats",))
async def stats(ctx: Context, value: StatsInput) -> StatsOutput:
    """Count events, streams, types and bytes, and give the head."""
    store = _ledger(ctx).store
    head = await store.head()
    weight = store.volume.weight()
    last = await store.read(after=head.size - 1, limit=1) if head.size else []
    return StatsOutput(
        events=head.size,
        streams=len(await store.streams()),
        bytes=weight,
        bytes_per_event=round(weight / head.size, 1) if head.size else 0.0,
        types=store.volume.types(),
        root="sha256:" + head.root.hex(),
        last=last[0].at if last else None,
    )


class VerifyInput(msgspec.Struct, kw_only=True):
    """Nothing to ask for: everything is looked at."""


@action("log.verify", effect=Effect.READ, cli=("log", "verify"), examples=("squad log verify",))
async def verify(ctx: Context, value: VerifyInput) -> Verified:
    """Recompute every hash, chain, tile and index of the ledger and compare.

    Exit code 11 and the list of what is wrong when anything is.
    """

    def progress(done: int, total: int) -> None:
        ctx.progress("verifying events", done=done, total=total)

    found = await verification.verify(_ledger(ctx), progress)
    if not found.valid:
        first = found.findings[0]
        where = "" if first.seq is None else f"event {first.seq}: "
        raise VerifyFailedError(
            f"{len(found.findings)} things are wrong, first {where}{first.what}",
            hint="restore the ledger from a backup, or show an auditor both",
            details=msgspec.to_builtins(found),
        )
    return found


class EraseInput(msgspec.Struct, kw_only=True):
    """Whom, and why."""

    subject: Annotated[
        str, described("The subject, or the name the person went by.", "person:4711")
    ]
    reason: Annotated[str, described("Why, for the record.", "asked to be forgotten")]
    lost: Annotated[
        bool, described("The key file was lost: take the person's values for erased.")
    ] = False


class EraseOutput(msgspec.Struct, kw_only=True):
    """What was destroyed, and the event that says so.

    `subject` is whom it was about; given by name, one person may have had
    several.
    """

    subject: str
    keys: int
    blobs: int
    event: int


@action(
    "log.erase",
    effect=Effect.IRREVERSIBLE,
    cli=("erase",),
    positional=("subject",),
    examples=(
        "squad erase person:4711 --reason 'asked to be forgotten'",
        "squad erase 'DANA WHITFIELD' --reason 'asked to be forgotten'",
    ),
)
async def erase(ctx: Context, value: EraseInput) -> EraseOutput:
    """Erase a person: destroy the key that opens their values, for good.

    The values stay unreadable in every copy of the log, blobs that hold them
    are removed, and every proof still verifies. Erasing again changes nothing.
    What has left the installation (letters, payments, backups of blobs) is not
    reached.
    """
    if not value.subject.strip() or not value.reason.strip():
        raise InvalidError("erasing needs a subject and a reason", code="ledger.erase")
    ledger = _ledger(ctx)
    subjects = [value.subject]
    if not value.lost and ledger.keyring.erasures(value.subject) is None:
        subjects = await erasure.subjects_named(ledger, value.subject)
        if not subjects:
            raise SubjectMissingError(
                f"nothing is sealed under {value.subject!r}, as a subject or as a name",
                hint=nearest(value.subject, ledger.keyring.subjects())
                or "nothing personal was stored about them; if the key file was lost add --lost",
            )
    done = [await _erase(ctx, ledger, subject, value.reason) for subject in subjects]
    return EraseOutput(
        subject=", ".join(one.subject for one in done),
        keys=sum(one.keys for one in done),
        blobs=sum(one.blobs for one in done),
        event=done[-1].event,
    )


async def _erase(ctx: Context, ledger: Ledger, subject: str, reason: str) -> EraseOutput:
    # Blobs go first: once the key is gone nobody can say which texts they hold.
    blobs: list[str] = []
    if subject in ledger.keyring.subjects():
        texts = await erasure.texts_of(ledger, subject)
        blobs = await erasure.remove_blobs(ledger.blobs, texts)
    keys = ledger.keyring.destroy(subject)
    stream = f"subject/{subject}"
    said = [e for e in await ledger.store.read_stream(stream) if e.type == ERASED_TYPE]
    # Destroyed first, said afterwards: a crash between the two leaves fewer
    # events than erasures, and erasing again makes it good.
    if keys == 0 and said and len(said) >= (ledger.keyring.erasures(subject) or 0):
        return EraseOutput(subject=subject, keys=0, blobs=0, event=said[-1].seq)
    body = {"subject": subject, "keys": keys, "reason": reason, "blobs": blobs}
    [event] = await ledger.store.append(
        [NewEvent(stream=stream, type=ERASED_TYPE, payload=body, actor=str(ctx.actor))]
    )
    return EraseOutput(subject=subject, keys=keys, blobs=len(blobs), event=event.seq)


class RebuildInput(msgspec.Struct, kw_only=True):
    """Which readings, and whether only to compare."""

    names: Annotated[
        tuple[str, ...], described("Only these readings; without, all of them.", ["runs"])
    ] = ()
    check: Annotated[bool, described("Change nothing: build beside, and compare every byte.")] = (
        False
    )


class RebuildOutput(RebuildReport, kw_only=True):
    """What was done, or found: what differs is an error, not an output."""

    verdict: Literal["rebuilt", "identical"]


@action(
    "readings.rebuild",
    effect=Effect.READ,
    cli=("rebuild",),
    examples=("squad rebuild", "squad rebuild --check"),
    local="it takes the tables away that a server reads from",
)
async def rebuild(ctx: Context, value: RebuildInput) -> RebuildOutput:
    """Delete the tables read from the log and build them again.

    With `--check` exit code 11 when what was kept differs from a fresh build.
    """
    readings = _ledger(ctx).readings
    for name in value.names:
        if name not in readings.names:
            raise MissingError(
                f"no reading {name!r}",
                code="readings.missing",
                hint=f"known: {', '.join(readings.names)}",
            )
    ctx.progress("comparing readings" if value.check else "rebuilding readings")
    report = await (readings.check if value.check else readings.rebuild)(*value.names)
    return RebuildOutput(
        events=report.events,
        tables=report.tables,
        verdict="identical" if value.check else "rebuilt",
    )


def _ledger(ctx: Context) -> Ledger:
    return ctx.port(Ledger)
