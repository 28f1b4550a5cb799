"""Pulses beside the store: a file that is replaced when steps beat, so that
other processes see them and a crash does not lose where a step was.

Nothing rests on it: it is never synced, and written a few times a second at
most, however often steps beat.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec

from agentsquad.runtime.engine.inbound.contract import Beat

PAUSE_S = 0.2  # at least, between two writes
KEPT_MAX = 10_000


class MemoryPulses:
    """For a store that only this process has."""

    def __init__(self) -> None:
        self._beats: dict[tuple[str, str], Beat] = {}

    def put(self, beat: Beat) -> None:
        """Keep the newest beat of its step."""
        self._beats.pop((beat.run, beat.position), None)
        self._beats[beat.run, beat.position] = beat
        if len(self._beats) > KEPT_MAX:
            del self._beats[next(iter(self._beats))]

    def last(self, run: str, position: str) -> Beat | None:
        """Return the newest beat of a step."""
        return self._beats.get((run, position))

    def of(self, run: str) -> list[Beat]:
        """Return the newest beat of each step of a run."""
        return [beat for beat in self._beats.values() if beat.run == run]

    def drop(self, run: str, position: str) -> None:
        """Forget a step that has ended."""
        self._beats.pop((run, position), None)


class FilePulses(MemoryPulses):
    """The pulses of one store, in a file beside it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._written = -PAUSE_S
        self._own = False
        self._load()

    def _load(self) -> None:
        self._beats.clear()
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            for beat in msgspec.json.decode(self.path.read_bytes(), type=list[Beat]):
                self._beats[beat.run, beat.position] = beat

    def put(self, beat: Beat) -> None:
        """Keep the newest beat of its step."""
        self._own = True
        super().put(beat)
        self._write()

    def of(self, run: str) -> list[Beat]:
        """Return the newest beat of each step of a run, whoever drives it."""
        if not self._own:
            self._load()
        return super().of(run)

    def drop(self, run: str, position: str) -> None:
        """Forget a step that has ended."""
        if (run, position) in self._beats:
            super().drop(run, position)
            self._write(now=not self._beats)

    def _write(self, *, now: bool = False) -> None:
        at = time.monotonic()
        if not now and at - self._written < PAUSE_S:
            return
        self._written = at
        draft = self.path.with_suffix(".draft")
        with contextlib.suppress(OSError):  # a full disk must not stop a step
            if not self._beats:
                self.path.unlink(missing_ok=True)
                return
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(list(self._beats.values())))
            draft.replace(self.path)
