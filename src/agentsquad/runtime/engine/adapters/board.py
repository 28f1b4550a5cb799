"""A board that is a file beside the store: the engine of one process shows its
load there, any other may look.

Nothing depends on it: it is replaced in one step and never synced, and what a
dead process left there is taken for nothing.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from agentsquad.runtime.resilience.contract import Load


class Shown(msgspec.Struct, frozen=True):
    """What stands in the file."""

    pid: int
    load: Load


class FileBoard:
    """The board of one store."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def post(self, load: Load) -> None:
        """Show it, in the place of what was shown before."""
        draft = self.path.with_suffix(".draft")
        with contextlib.suppress(OSError):  # a full disk must not stop the engine
            draft.write_bytes(msgspec.json.encode(Shown(os.getpid(), load)))
            draft.replace(self.path)

    def read(self) -> Load | None:
        """Return what a living process shows."""
        try:
            shown = msgspec.json.decode(self.path.read_bytes(), type=Shown)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return shown.load if _lives(shown.pid) else None

    def clear(self) -> None:
        """Show nothing any more."""
        with contextlib.suppress(OSError):
            self.path.unlink()


class NoBoard:
    """For a store that only this process has."""

    def post(self, load: Load) -> None:
        """Show it to nobody."""

    def read(self) -> Load | None:
        """Return nothing."""
        return None

    def clear(self) -> None:
        """Leave it as it is."""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
