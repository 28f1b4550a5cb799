"""Stored: the versions that were deployed, as a reading of their stream.

One stream holds all of them in order, so that of two who deploy at once one is
told that the other was first. The last event of a name says which version new
runs take; every version that was not retired stays known by its digest, with
its source as blobs beside the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from agentsquad.kernel.errors import IntegrityError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.operations.deployment.contract import (
    MADE,
    RETIRED,
    STREAM,
    CodeLostError,
    DeploymentMissingError,
    Loader,
    Source,
)
from agentsquad.operations.deployment.source import named
from agentsquad.runtime.engine.contract import Deployed
from agentsquad.runtime.engine.versions import Code

MEDIA = "text/x-python"


class Made(msgspec.Struct, kw_only=True):
    """One version of a deployment: what its events say; `times` are those of
    its becoming the newest."""

    name: str
    digest: str
    kind: str
    entry: str
    files: dict[str, Any]
    workflows: tuple[str, ...]
    actions: tuple[str, ...]
    actor: str
    reason: str
    seq: int
    times: list[str]
    retired: bool = False
    erased: bool = False


class Shelf:
    """What the stream of deployments says, folded."""

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], Made] = {}
        self.newest: dict[str, str] = {}
        self.size = 0

    def fold(self, event: Event) -> None:
        """Take in one event."""
        self.size = event.stream_seq
        body = event.payload or {}
        if event.type == RETIRED:
            made = self.versions[body["name"], body["digest"]]
            made.retired = True
            made.erased = bool(body.get("erased"))
        elif event.type == MADE:
            key = (body["name"], body["digest"])
            known = self.versions.get(key)
            times = [*(known.times if known else ()), event.time]
            self.versions[key] = Made(
                name=body["name"],
                digest=body["digest"],
                kind=body["kind"],
                entry=body.get("entry", ""),
                files=dict(body.get("files", {})),
                workflows=tuple(body["workflows"]),
                actions=tuple(body.get("actions", ())),
                actor=event.actor,
                reason=body.get("reason", ""),
                seq=event.seq,
                times=times,
            )
            self.newest[body["name"]] = body["digest"]

    def current(self, name: str) -> Made | None:
        """Return the newest version of a deployment."""
        digest = self.newest.get(name)
        return None if digest is None else self.versions[name, digest]

    def owner(self, workflow: str, kind: str = "python") -> Made | None:
        """Return the newest version that offers a workflow."""
        for name in self.newest:
            made = self.current(name)
            if made is not None and made.kind == kind and workflow in made.workflows:
                return made
        return None

    def before(self, name: str) -> Made | None:
        """Return the version that served before the newest."""
        now = self.newest.get(name)
        others = [
            made
            for (of, digest), made in self.versions.items()
            if of == name and digest != now and not made.retired
        ]
        return max(others, key=lambda made: (made.times[-1], made.seq), default=None)

    def found(self, text: str) -> list[Made]:
        """Return the versions that a name, a workflow or the beginning of a
        digest means, oldest first."""
        bare = text.removeprefix("sha256:")
        return [
            made
            for (name, digest), made in self.versions.items()
            if text == name
            or text in made.workflows
            or (len(bare) >= 4 and digest.removeprefix("sha256:").startswith(bare))
        ]


class StoredDeployments:
    """The engine's view of what was deployed."""

    def __init__(self, store: EventStore, blobs: BlobStore, loader: Callable[[], Loader]) -> None:
        self._store = store
        self._blobs = blobs
        self._loader = loader
        self._loaded: dict[str, Deployed] = {}
        self.shelf = Shelf()

    def names(self) -> list[str]:
        """Return the workflows of which new runs take a deployed version."""
        return sorted(
            workflow
            for name in self.shelf.newest
            if (made := self.shelf.current(name)) is not None and made.kind == "python"
            for workflow in made.workflows
        )

    def newest(self, workflow: str) -> str | None:
        """Return the digest of the version that new runs take."""
        made = self.shelf.owner(workflow)
        return None if made is None else made.digest

    def knows(self, digest: str) -> bool:
        """Whether a version of this digest was deployed and its source kept."""
        return any(
            made.digest == digest and made.kind == "python" and not made.retired
            for made in self.shelf.versions.values()
        )

    async def refresh(self) -> None:
        """Take in what was deployed since."""
        for event in await self._store.read_stream(STREAM, after=self.shelf.size):
            if event.stream_seq == self.shelf.size + 1:
                self.shelf.fold(event)

    async def load(self, digest: str) -> Deployed:
        """Return a version, loaded."""
        found = self._loaded.get(digest)
        if found is None:
            made = self.made(digest)
            plugin = self._loader().load(await self.source(made))
            found = Deployed(name=made.name, digest=digest, plugin=plugin)
            self._loaded[digest] = found
        return found

    def made(self, digest: str) -> Made:
        """Return the version of a digest."""
        for made in self.shelf.versions.values():
            if made.digest == digest and made.kind == "python":
                return made
        raise DeploymentMissingError(
            f"no version {digest} was deployed here", hint="squad deployments list"
        )

    async def code(self, digest: str) -> Code:
        """Return the code of a version, byte for byte."""
        made = self.made(digest)
        source = await self.source(made)
        return Code(name=made.name, entry=source.entry, files=source.files)

    async def source(self, made: Made) -> Source:
        """Return the source of a version, byte for byte as it was deployed."""
        files = {}
        for path, reference in made.files.items():
            try:
                data = await self._blobs.get(reference["$blob"])
            except MissingError as error:
                raise _lost(made, f"{path} is not in the store any more") from error
            if digest_bytes(data) != reference["$blob"]:
                raise IntegrityError(
                    f"{path} of {made.name} is not what was deployed",
                    code="deployment.damaged",
                    hint="bring back the blobs from a copy of the store",
                )
            files[path] = data
        source = named(files, made.entry, made.name)
        if source.digest != made.digest:
            raise _lost(made, "its source does not give its digest")
        return source


def _lost(made: Made, why: str) -> CodeLostError:
    return CodeLostError(
        f"version {short(made.digest)} of {made.name} cannot be loaded: {why}",
        hint="deploy the same source again: its digest is the same",
        details={"name": made.name, "digest": made.digest},
    )


def short(digest: str | None) -> str:
    """Return the beginning of a digest, as people are shown it."""
    return "" if digest is None else digest.removeprefix("sha256:")[:12]
