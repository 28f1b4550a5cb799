"""What others may know of deployments: reports, ports and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError
from agentsquad.kernel.registry import Plugin

STREAM = "deployments"
MADE = "version.deployed"
RETIRED = "version.retired"

Verdict = Literal["continue", "pinned", "stuck"]
Kind = Literal["python", "manifest"]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Code as it was written: files by their path within it, the module to
    begin with, and the name it was read from.

    `digest` names exactly this.
    """

    name: str
    entry: str
    files: Mapping[str, bytes]
    digest: str
    origin: str = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment means to one run.

    `at` is the event where the new code would diverge, `step` its position and
    `field` what differs; `remedy` is what can be done, as commands.
    """

    run: str
    workflow: str
    verdict: Verdict
    status: str = "open"
    at: int | None = None
    step: str | None = None
    field: str | None = None
    was: Any = None
    now: Any = None
    why: str = ""
    remedy: tuple[str, ...] = ()
    version: str = ""
    events: int = 0


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """What a sample of ended runs says: how many come out the same under the
    new code, and those that do not."""

    checked: int
    same: int
    different: list[Checked]
    seed: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment does, or would do, to the runs that are open.

    `deployed` is false for a mere check; `adopted` counts the runs that were
    moved. `runs` names every run, those past the change first; of those that
    continue, no more than the first 10,000.
    """

    name: str
    kind: Kind
    digest: str
    before: str | None
    workflows: tuple[str, ...]
    open: int
    continue_: int = msgspec.field(name="continue")
    pinned: int
    stuck: int
    runs: list[Checked]
    closed: Closed | None = None
    deployed: bool = False
    adopted: int = 0
    unchanged: bool = False

    @property
    def exit_code(self) -> int:
        """0 when every open run goes on, 1 when one would be stuck."""
        return 1 if self.stuck and not self.deployed else 0


class SourceFiles(Protocol):
    """Where users' code lies before it is deployed."""

    def read(self, path: str) -> Source:
        """Return the code that a file or folder holds, with the modules beside
        it that it imports; SourceError when it cannot be read."""
        ...


class Loader(Protocol):
    """Turns source into what it offers."""

    def load(self, source: Source) -> Plugin:
        """Return what this source offers, its workflows under its digest.

        Every digest is loaded once in a process, beside all others.
        SourceError names file and line of what goes wrong.
        """
        ...


class SourceError(InvalidError):
    """Code cannot be read or loaded."""

    code = "deploy.source"


class OfferError(InvalidError):
    """Code offers something that cannot be deployed."""

    code = "deploy.offer"


class StrandedError(ConflictError):
    """Runs would be stranded by this deployment."""

    code = "deploy.stuck"


class RaceError(ConflictError):
    """Somebody else deployed meanwhile."""

    code = "deploy.conflict"


class DeploymentMissingError(MissingError):
    """There is no such deployment or version."""

    code = "deployment.missing"


class CodeLostError(MissingError):
    """The code of a version is not in the store any more."""

    code = "deployment.lost"


class NeededError(ConflictError):
    """A version is still needed."""

    code = "deployment.needed"
