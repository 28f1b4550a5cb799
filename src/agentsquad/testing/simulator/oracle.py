"""Oracle: what a simulated world must still say, kept outside of everything
that can fail.

It hears every append before it is made and every acknowledgement, and compares
what is read with it. Findings are collected, not raised: a world goes on, so
that its report tells the first thing that went wrong and the last lines before
it.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.testing.simulator.contract import Finding
from agentsquad.testing.simulator.trace import Trace

FINDINGS_MAX = 5


class Oracle:
    """What was asked for, what was answered, and what broke a law."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.findings: list[Finding] = []
        self.known: dict[int, Event] = {}  # acknowledged or read, by place
        self.asked: dict[tuple[str, str, bytes], int] = {}
        self.blobs: dict[str, bytes] = {}
        self._complete = 0

    def find(self, law: str, what: str) -> None:
        """Note that a law did not hold."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(law, what))
            self._trace.note("oracle", f"FOUND {law}: {what}")

    def submitted(self, events: Sequence[NewEvent]) -> None:
        """Hear what is about to be appended."""
        for event in events:
            key = _key(event)
            self.asked[key] = self.asked.get(key, 0) + 1

    def acknowledged(self, events: Sequence[Event]) -> None:
        """Hear what was acknowledged: from now on it is there, as it is."""
        for event in events:
            self._trace.detail(f"ack {event.seq} {event.type} {event.at}")
            self.seen(event)

    def seen(self, event: Event) -> None:
        """Hear an event that was served to anybody: it stays what it is."""
        known = self.known.setdefault(event.seq, event)
        if known is not event and known != event:
            self.find("nothing changes", f"event {event.seq} was {known}, now it is {event}")

    def read(self, events: Sequence[Event], after: int, size: int) -> None:
        """Compare a whole read of the log from `after` on with what is
        known."""
        there = {event.seq: event for event in events}
        for event in events:
            if event.seq not in self.known and _key(event) not in self.asked:
                self.find("nothing appears", f"event {event.seq} was never asked for: {event}")
            self.seen(event)
        for seq in self.known:
            if after < seq <= after + size and seq not in there:
                self.find("nothing is lost", f"event {seq} was acknowledged and is gone")

    def complete(self) -> int:
        """Return up to where every event is known."""
        while self._complete + 1 in self.known:
            self._complete += 1
        return self._complete

    def refused(self, who: str, error: BaseException, allowed: tuple[type, ...]) -> None:
        """Judge an error that a caller got."""
        code = getattr(error, "code", "")
        self._trace.note(who, f"gets {type(error).__name__} {code}")
        if not isinstance(error, SquadError):
            self.find("typed errors only", f"{who} got {error!r}")
        elif not isinstance(error, allowed):
            self.find("no false alarm", f"{who} got {error!r} {error.private or ''}")


def _key(event: NewEvent | Event) -> tuple[str, str, bytes]:
    return (event.stream, event.type, canonical.dumps(event.payload))
