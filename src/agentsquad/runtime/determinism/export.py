"""Export: a recorded run as a pytest file that needs nothing but this package.

The history stands in the file itself, readable, or compressed when it is large.
Values about people are replaced before anything is written; what is written has
been replayed, so that the test passes where it was made.
"""

from __future__ import annotations

import base64
import re
import textwrap
import zlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec

from agentsquad import __version__
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.determinism.contract import (
    ExportIncompleteError,
    ExportPersonalError,
    Replay,
)
from agentsquad.runtime.determinism.history import (
    History,
    HistoryBlobs,
    HistoryStore,
    blobs_read,
    dump,
)
from agentsquad.runtime.determinism.redecide import redecide
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.determinism.standin import renamed, replaced, stand_ins
from agentsquad.runtime.engine.versions import Code, Versions, pins
from agentsquad.runtime.ledger.contract import SUBJECT_NAMED, RecordStore
from agentsquad.runtime.ledger.sealing import subjects

LARGE = 256 * 1024  # beyond this many characters the history is compressed
DERIVED_MAX = 64  # texts the code derives from personal ones, in one run
DERIVED_LENGTH_MIN = 8
_WIDTH = 96


async def collect(
    store: RecordStore,
    blobs: BlobStore,
    registry: Registry,
    run: str,
    *,
    personal: bool = False,
    versions: Versions | None = None,
) -> History:
    """Return the history of a run, proven to replay, without values about
    people unless `personal`; with `versions`, the deployed code of each run as
    well."""
    events: dict[str, list[Event]] = {run: await store.read_stream(f"run/{run}")}
    if not events[run]:
        raise MissingError(f"no run {run!r}", code="run.missing", hint="squad runs list --all")
    for name, _ in await store.streams(f"run/{run}/"):
        events[name.removeprefix("run/")] = await store.read_stream(name)
    told = await replay(store, registry, run, blobs, versions)
    if told.verdict == "not_replayable":
        raise ExportIncompleteError(
            f"run {run} cannot be replayed: {told.reason}",
            hint="what was erased or never recorded cannot be tested",
            details={"event": told.event},
        )
    if told.verdict == "diverged":
        raise ExportIncompleteError(
            f"run {run} comes out otherwise here already, at event {told.event}: {told.reason}",
            code="export.diverged",
            hint=f"squad replay {run} shows it; export where the run was recorded",
            details={"event": told.event, "field": told.field},
        )
    history = History(
        run=run,
        workflow=events[run][0].payload["workflow"],
        version=__version__,
        at=events[run][-1].time,
        verdict=told.verdict,
        personal="none",
        events=events,
        blobs={name: await blobs.get(name) for name in sorted(blobs_read(events))},
        code=await _deployed(events, versions),
    )
    texts = await sealed_texts(store, events)
    if not texts:
        return history
    if personal:
        return msgspec.structs.replace(history, personal="included")
    return await _masked(history, texts, told, partial(_again, registry, versions))


async def _deployed(
    events: Mapping[str, list[Event]], versions: Versions | None
) -> dict[str, Code]:
    """Return the code of every deployed version that runs ran under."""
    digests = sorted({pin.definition for journal in events.values() for pin in pins(journal)})
    found = {}
    for digest in digests if versions is not None else ():
        assert versions is not None
        code = await versions.code(digest)
        if code is not None:
            found[digest] = code
    return found


async def sealed_texts(store: RecordStore, events: Mapping[str, list[Event]]) -> set[str]:
    """Return the texts that the log keeps sealed in these events."""
    found: set[str] = set()
    seqs = {event.seq for journal in events.values() for event in journal}
    after, end = min(seqs) - 1, max(seqs)
    people: set[str] = set()
    while after < end:
        batch = await store.read_sealed(after=after, limit=500)
        for event in batch:
            if event.seq in seqs:
                people |= subjects(event.payload)
        after = batch[-1].seq if batch else end
    for person in sorted(people):
        for event in await store.read_stream(f"subject/{person}"):
            name = (event.payload or {}).get("name")
            if event.type == SUBJECT_NAMED and isinstance(name, str):
                found.add(name)
    return found


async def _masked(
    history: History,
    texts: set[str],
    told: Replay,
    again_of: Callable[[History], Awaitable[Replay]],
) -> History:
    """Return the history with stand-ins, if it still replays as it did."""
    masked = replaced(history, stand_ins(texts))
    again = await again_of(masked)
    for _ in range(DERIVED_MAX):
        if again.verdict == told.verdict or not _derived(again):
            break
        masked = renamed(masked, {again.was: again.now})
        again = await again_of(masked)
    if again.verdict != told.verdict:
        raise ExportPersonalError(
            f"run {history.run} comes out otherwise when names are replaced, at event "
            f"{again.event}, field {again.field}",
            hint="--include-personal writes what was recorded; mind who may read the file",
            details={"event": again.event, "field": again.field},
        )
    written = dump(masked)
    if any(text in written for text in texts) or any(
        text.encode() in data for text in texts for data in masked.blobs.values()
    ):
        raise ExportPersonalError(
            f"a value about a person would remain in the history of run {history.run}",
            hint="--include-personal writes what was recorded; mind who may read the file",
        )
    return masked


async def _again(registry: Registry, versions: Versions | None, history: History) -> Replay:
    store, blobs = HistoryStore(history), HistoryBlobs(history)
    return await replay(store, registry, history.run, blobs, versions)


def _derived(told: Replay) -> bool:
    """Whether the code made another text of the stand-ins, a name from a digest
    for example, that can take the place of the recorded one."""
    return (
        isinstance(told.was, str)
        and isinstance(told.now, str)
        and len(told.was) >= DERIVED_LENGTH_MIN
        and told.was != told.now
    )


async def decided_alike(history: History, registry: Registry, policy: PolicyEngine) -> bool:
    """Whether the installed rules alone decide as was recorded."""
    _, differing = await redecide(history.events, registry, policy)
    return not differing


def pytest_file(history: History, *, decides: bool) -> str:
    """Return the text of the test; `decides` adds the one about policy."""
    name = re.sub(r"\W+", "_", history.run).strip("_")
    wanted = "assert_decides, assert_replays" if decides else "assert_replays"
    people = {
        "none": "It holds no value about a person.",
        "stand-ins": "Values about people were replaced by stand-ins.",
        "included": "It HOLDS VALUES ABOUT PEOPLE: mind who may read this file.",
    }[history.personal]
    about = textwrap.fill(
        f"{history.count} events of {_runs(history)}, recorded until {history.at} and written by "
        f"Agent Squad {history.version}. {people} Nothing is asked, sent or read from outside: "
        "what came from models, people and partners is as recorded, what the code decides is "
        "decided again.",
        _WIDTH,
    )
    parts = [
        f'"""Run {history.run} of {history.workflow}, as a regression test.\n\n{about}\n"""\n',
        "from __future__ import annotations\n",
        f"from agentsquad.testing import {wanted}\n\n",
        f"def test_run_{name}_replays() -> None:\n"
        '    """Same steps, same arguments, same results; else it names the event."""\n'
        "    assert_replays(HISTORY)\n\n",
    ]
    if decides:
        parts.append(
            f"def test_run_{name}_is_decided_the_same() -> None:\n"
            '    """The rules installed here still give every recorded decision."""\n'
            "    assert_decides(HISTORY)\n\n"
        )
    parts.append(_history(dump(history)))
    return "\n".join(parts)


def _runs(history: History) -> str:
    below = len(history.events) - 1
    return "one run" if not below else f"one run and {below} below it"


def _history(text: str) -> str:
    if len(text) <= LARGE:
        return f'HISTORY = r"""{text}"""\n'
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    lines = "\n".join(textwrap.wrap(packed, _WIDTH))
    return f'HISTORY = """zlib+base64\n{lines}\n"""  # agentsquad.testing.read_history shows it\n'


def unpack(text: str) -> str:
    """Return a history's JSON, whether it stands there readable or packed."""
    if not text.startswith("zlib+base64"):
        return text
    return zlib.decompress(base64.b64decode(text.partition("\n")[2])).decode()
