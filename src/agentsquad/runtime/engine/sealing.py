"""Sealing: what a run records about people is sealed under their own key.

A store around the log. It learns personal texts from the marked types of
workflow inputs and action inputs and outputs (kernel/personal.py), and gives
every text of the same run family that contains one of them to the log as
personal: copies in approvals, letters and children are sealed like the
original.

A person's subject is a random name; the event `subject.named`, itself sealed,
says whose it is, so that erasing the key leaves nothing to guess from.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel.errors import ConflictError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.kernel.personal import marked, pointers, values_in
from agentsquad.kernel.ports import Entropy, EventStore
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.ledger.contract import SUBJECT_NAMED

FAMILIES_MAX = 1024  # run families remembered; one that was dropped is read again


class SealingStore:
    """An EventStore that seals; everything else passes to the log unchanged."""

    def __init__(self, store: EventStore, registry: Registry, entropy: Entropy) -> None:
        self._store = store
        self._registries = [registry]
        self._entropy = entropy
        self._families: dict[str, dict[str, str]] = {}
        self._subjects: dict[str, str] | None = None
        self._active = _marks(registry)

    def learn(self, registry: Registry) -> None:
        """Seal what the types of a deployed version mark, too."""
        self._registries.append(registry)
        self._active = self._active or _marks(registry)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def place(self) -> Any:
        """How events get their place before they are durable; None where the
        log below cannot do that."""
        inner = getattr(self._store, "place", None)
        return inner if inner is None or not self._active else self._place

    def _place(
        self,
        events: Sequence[NewEvent],
        *,
        holder: Any,
        expect: Mapping[str, int] | None = None,
    ) -> list[Event] | None:
        """Give events their place, with personal texts sealed; None when the
        log must be asked about them first, which takes an `append`."""
        sealed = []
        for event in events:
            ready = self._sealed_at_once(event)
            if ready is None:
                return None
            sealed.append(ready)
        try:
            return self._store.place(  # type: ignore[attr-defined, no-any-return]
                sealed, holder=holder, expect=expect
            )
        except ConflictError:
            self._forget(sealed)
            raise

    def _forget(self, events: Sequence[NewEvent]) -> None:
        """Read a family anew that turned out to be there already when it was to
        begin."""
        for event in events:
            if event.type == "run.started":
                root = event.stream.removeprefix("run/").partition("/")[0]
                self._families.pop(root, None)

    def _sealed_at_once(self, event: NewEvent) -> NewEvent | None:
        if not event.stream.startswith("run/") or event.personal is not None:
            return event
        root = event.stream.removeprefix("run/").partition("/")[0]
        known = self._families.get(root)
        if known is None:
            if event.type != "run.started" or event.stream != f"run/{root}":
                return None
            known = self._remember(root, {})
        subjects = self._subjects or {}
        for text in self._marked(event.type, event.payload):
            if text not in known:
                if text not in subjects:
                    return None
                known[text] = subjects[text]
        found = pointers(event.payload, known) if known else None
        return msgspec.structs.replace(event, personal=found) if found else event

    def _remember(self, root: str, known: dict[str, str]) -> dict[str, str]:
        while len(self._families) >= FAMILIES_MAX:
            self._families.pop(next(iter(self._families)))
        self._families[root] = known
        return known

    @property
    def ends(self) -> Any:
        """How to see where streams end; None where the log cannot say."""
        return getattr(self._store, "ends", None)

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        """Append, with personal texts sealed."""
        if self._active and any(event.stream.startswith("run/") for event in events):
            events = [await self._sealed(event) for event in events]
        try:
            return await self._store.append(events, expect=expect)
        except ConflictError:
            self._forget(events)
            raise

    async def read_stream(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Read one stream."""
        return await self._store.read_stream(stream, after=after, limit=limit)

    async def read(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] | None = None
    ) -> list[Event]:
        """Read in order."""
        return await self._store.read(after=after, limit=limit, types=types)

    async def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        """Return streams and their versions."""
        return await self._store.streams(prefix)

    async def size(self) -> int:
        """Return the number of events."""
        return await self._store.size()

    async def _sealed(self, event: NewEvent) -> NewEvent:
        if not event.stream.startswith("run/") or event.personal is not None:
            return event
        root = event.stream.removeprefix("run/").partition("/")[0]
        known = await self._family(root, event)
        for text in self._marked(event.type, event.payload):
            if text not in known:
                known[text] = await self._subject(text)
        found = pointers(event.payload, known)
        return msgspec.structs.replace(event, personal=found) if found else event

    async def _family(self, root: str, event: NewEvent) -> dict[str, str]:
        """Return the personal texts known in a family of runs: value ->
        subject."""
        known = self._families.get(root)
        if known is None:
            known = {}
            fresh = event.type == "run.started" and event.stream == f"run/{root}"
            names = [] if fresh else [n for n, _ in await self._store.streams(f"run/{root}")]
            for name in names:
                for old in await self._store.read_stream(name):
                    for text in self._marked(old.type, old.payload or {}):
                        known[text] = await self._subject(text)
            self._remember(root, known)
        return known

    def _marked(self, kind: str, body: Mapping[str, Any]) -> set[str]:
        found: set[str] = set()
        for registry in self._registries:
            if kind == "run.started":
                workflow = registry.workflows.get(body["workflow"])
                if workflow is not None:
                    found |= values_in(workflow.input, body["input"])
            action = registry.actions.get(body.get("action", ""))
            if action is not None:
                found |= values_in(action.spec.input, body.get("input"))
                found |= values_in(action.spec.output, body.get("output"))
        return found

    async def _subject(self, text: str) -> str:
        """Return the subject a personal text belongs to, a new one if it is
        new."""
        if self._subjects is None:
            self._subjects = {}
            after = 0
            while batch := await self._store.read(after=after, types=[SUBJECT_NAMED]):
                for event in batch:
                    name = (event.payload or {}).get("name")
                    if isinstance(name, str):
                        self._subjects[name] = event.stream.removeprefix("subject/")
                after = batch[-1].seq
        subject = self._subjects.get(text)
        if subject is None:
            token = base64.b32encode(self._entropy.token(10)).decode().lower()
            subject = self._subjects[text] = f"person:{token}"
            named = NewEvent(
                stream=f"subject/{subject}",
                type=SUBJECT_NAMED,
                payload={"name": text},
                personal={"/name": subject},
            )
            await self._store.append([named])
        return subject


def _marks(registry: Registry) -> bool:
    """Whether any type of what is mounted marks personal fields."""
    shapes = [w.input for w in registry.workflows.values()]
    shapes += [a.spec.input for a in registry.actions.values()]
    shapes += [a.spec.output for a in registry.actions.values()]
    return any(marked(shape) for shape in shapes)
