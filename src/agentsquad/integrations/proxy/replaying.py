"""Replaying: a recorded session answers its agent again, offline.

Nothing here can reach a model. A request is known by its exact fingerprint, or
else by the loose one, which knows no time of day; asked the same twice, it gets
the two recorded answers in their order. The first request that was never
recorded is named, with the field in which it differs from the one that was due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.integrations.proxy import api as apis
from agentsquad.integrations.proxy import fingerprint
from agentsquad.integrations.proxy.answering import check_key, recorded, refusal, session_of
from agentsquad.integrations.proxy.contract import (
    FORWARD,
    TAKE,
    WORKFLOW,
    Answered,
    Asked,
    RecordingError,
    ReplayMissError,
    Response,
)
from agentsquad.integrations.proxy.delta import Library
from agentsquad.integrations.proxy.session import whole
from agentsquad.kernel.errors import SquadError, record
from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.determinism.replay import incomplete
from agentsquad.runtime.ledger.blob import resolve


class Entry(msgspec.Struct, kw_only=True):
    """One recorded request and what it was answered: an answer or an error."""

    n: int
    api: str
    path: str
    model: str
    body: Any
    headers: dict[str, str] = {}
    answered: Answered | None = None
    error: dict[str, Any] | None = None
    used: bool = False


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where an agent first did otherwise: its request `request`, in `field` of
    the one that was due; `was` and `now` are cut short."""

    request: int
    field: str
    was: Any = None
    now: Any = None
    message: str = ""


async def entries(events: Sequence[Event], blobs: BlobStore) -> list[Entry]:
    """Return the requests of a session's run, in their order, with texts that
    were stored apart put back."""
    started = events[0].payload or {} if events else {}
    if started.get("workflow") != WORKFLOW:
        raise RecordingError(
            "the run is no session of the proxy",
            hint=f"squad runs list --workflow {WORKFLOW} shows those that are",
        )
    missing = incomplete(list(events))
    if missing is not None:
        raise RecordingError(
            f"not replayable, the recording is incomplete: event {missing[0]}: {missing[1]}"
        )
    found: dict[int, Entry] = {}
    library = Library()
    for event in events:
        body = event.payload
        if body.get("action") == TAKE and "output" in body:
            for item in body["output"].get("items", ()):
                asked = _read(item, Asked, event)
                found[asked.n] = Entry(
                    n=asked.n,
                    api=asked.api,
                    path=asked.path,
                    model=asked.model,
                    headers=asked.headers,
                    body=await resolve(whole(library, asked), blobs),
                )
        elif body.get("action") == FORWARD and "input" in body:
            entry = found.get(body["input"].get("n"))
            if entry is None:
                continue
            if "error" in body:
                entry.error = body["error"]
            else:
                output = await resolve(body["output"], blobs)
                entry.answered = _read(output, Answered, event)
    return [found[n] for n in sorted(found)]


def _read(value: Any, kind: Any, event: Event) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RecordingError(
            f"event {event.seq} of the recording cannot be read: {error}",
            hint="part of it may have been erased",
        ) from error


class Recording:
    """What is left of a recorded session."""

    def __init__(self, found: Sequence[Entry]) -> None:
        self._entries = list(found)
        self._exact: dict[str, deque[Entry]] = {}
        self._loose: dict[str, deque[Entry]] = {}
        for entry in self._entries:
            exact = fingerprint.exact(entry.api, entry.path, entry.body)
            loose = fingerprint.loose(entry.api, entry.path, entry.body)
            self._exact.setdefault(exact, deque()).append(entry)
            self._loose.setdefault(loose, deque()).append(entry)
        self.asked = 0
        self.divergence: Divergence | None = None

    @property
    def left(self) -> int:
        """How many recorded requests were not made again."""
        return sum(not entry.used for entry in self._entries)

    @property
    def size(self) -> int:
        """How many requests were recorded."""
        return len(self._entries)

    def find(self, request: apis.Request) -> Entry:
        """Return the recorded answer to a request; ReplayMissError names the
        first divergence."""
        self.asked += 1
        name, path = request.api.name, request.path
        exact = fingerprint.exact(name, path, request.body)
        entry = _next(self._exact.get(exact))
        if entry is None:
            entry = _next(self._loose.get(fingerprint.loose(name, path, request.body)))
        if entry is None:
            raise self._miss(request)
        entry.used = True
        return entry

    def _miss(self, request: apis.Request) -> ReplayMissError:
        due = next((one for one in self._entries if not one.used), None)
        found = diverged(self.asked, request, due)
        if self.divergence is None:
            self.divergence = found
        first = self.divergence
        return ReplayMissError(
            found.message,
            hint="the agent did otherwise than when it was recorded; no live model is asked",
            details={"request": first.request, "field": first.field},
        )

    def verdict(self) -> Divergence | None:
        """Return where the agent first did otherwise, requests it did not make
        again included; None if it did the same."""
        if self.divergence is not None or not self.left:
            return self.divergence
        due = next(one for one in self._entries if not one.used)
        return Divergence(
            request=due.n,
            field="/",
            was=f"{due.api} {due.model}".rstrip(),
            message=f"request {due.n} of the recording was not made again"
            + (f", nor were {self.left - 1} more" if self.left > 1 else ""),
        )


def diverged(n: int, request: apis.Request, due: Entry | None) -> Divergence:
    """Return in what a request differs from the one that was due."""
    if due is None:
        return Divergence(
            request=n,
            field="/",
            now=f"{request.api.name} {request.model}".rstrip(),
            message=f"request {n} was not recorded: every recorded one has been made again",
        )
    if due.api != request.api.name or due.path != request.path:
        return Divergence(
            request=n,
            field="/path",
            was=due.path,
            now=request.path,
            message=f"request {n} goes to {request.path}; recorded was one to {due.path}",
        )
    field, was, now = fingerprint.first_difference(due.body, request.body)
    return Divergence(
        request=n,
        field=field,
        was=was,
        now=now,
        message=f"request {n} differs from the recorded one at {field}: {was!r} then, {now!r} now",
    )


def _next(waiting: deque[Entry] | None) -> Entry | None:
    while waiting:
        entry = waiting.popleft()
        if not entry.used:
            return entry
    return None


class ReplayAnswerer:
    """Answers from a recording, and from nothing else."""

    def __init__(self, key: str, recording: Recording) -> None:
        self._key = key
        self._recording = recording

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes
    ) -> Response:
        """Answer one request as it was answered then."""
        vendor = apis.vendor_of(path, headers)
        try:
            check_key(self._key, headers)
            request = apis.read(method, session_of(path, headers)[1], headers, data)
            vendor = request.api.vendor
            entry = self._recording.find(request)
        except SquadError as error:
            return refusal(vendor, record(error))
        if entry.answered is not None:
            return recorded(entry.answered)
        error_ = entry.error or record(
            ReplayMissError(f"request {entry.n} was never answered in the recording")
        )
        return refusal(vendor, error_)
