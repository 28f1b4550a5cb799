"""Squad oracle: what the log says of runs, effects and switches, followed as it
is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from agentsquad.kernel.errors import BugError, IntegrityError, SquadError
from agentsquad.kernel.event import Event, NewEvent
from agentsquad.runtime.engine.hands import HAND, standing_still
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.testing.simulator.bank import Transfer
from agentsquad.testing.simulator.oracle import Oracle
from agentsquad.testing.simulator.trace import Trace

POKED = 400  # from here on are the numbers that updates pay

HALTED, LIFTED = "control.halted", "control.resumed"


class SquadOracle(Oracle):
    """An oracle that also watches effects as they happen."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self.planned: set[str] = set()  # keys whose plan was acknowledged
        self.sent: set[str] = set()
        self.halted = False
        self._journals: dict[str, list[Event]] = {}
        self._counted = 0

    def submitted(self, events: Sequence[NewEvent]) -> None:
        """Hear what is about to be appended; no plan is made while the switch
        is on."""
        super().submitted(events)
        for event in events:
            if event.type == "effect.planned" and self.halted:
                self.find("the switch stops effects", f"{event.payload['action']} is planned")
            elif event.type == LIFTED:
                self.halted = False

    def seen(self, event: Event) -> None:
        """Hear what was acknowledged or read: it is durable."""
        super().seen(event)
        if event.type == "effect.planned":
            self.planned.add(event.payload["key"])
        elif event.type == "effect.sent":
            self.sent.add(event.payload["key"])

    def acknowledged(self, events: Sequence[Event]) -> None:
        """Hear what was acknowledged."""
        super().acknowledged(events)
        for event in events:
            if event.type == HALTED:
                self.halted = not self._lifted_after(event)

    def _lifted_after(self, halted: Event) -> bool:
        return any(e.type == LIFTED and e.seq > halted.seq for e in self.known.values())

    def moved(self, transfer: Transfer) -> None:
        """Hear of money that moves: the log must have known before."""
        if transfer.key not in self.planned:
            self.find("log before act", f"{transfer} was not planned durably")
        elif transfer.key not in self.sent:
            self.find("log before act", f"{transfer} was not noted as sent")

    def heard(self, error: SquadError) -> None:
        """Judge an error that a person got as an answer."""
        self._trace.note("people", f"are told {error.code}: {error.message[:120]}")
        if isinstance(error, (BugError, IntegrityError)):
            self.find("no false alarm", f"somebody was told {error!r}")

    def journals(self) -> dict[str, list[Event]]:
        """Return the known events of each run, in order."""
        if self._counted != len(self.known):
            found: dict[str, list[Event]] = {}
            for seq in sorted(self.known):
                event = self.known[seq]
                if event.stream.startswith("run/"):
                    found.setdefault(event.stream.removeprefix("run/"), []).append(event)
            self._journals, self._counted = found, len(self.known)
        return self._journals

    def open_runs(self) -> dict[str, Event]:
        """Return the runs that have not ended, and the last event of each."""
        return {
            run: events[-1]
            for run, events in self.journals().items()
            if not any(event.type in END_EVENTS for event in events)
        }

    def awaited(self) -> list[tuple[str, str]]:
        """Return (run, signal) of every wait that has no signal yet."""
        found = []
        for run in self.open_runs():
            names: dict[str, int] = {}
            for event in self.journals()[run]:
                if event.type in ("signal.waiting", "signal.received"):
                    name = event.payload["name"]
                    names[name] = names.get(name, 0) + (event.type == "signal.waiting") * 2 - 1
            found += [(run, name) for name, count in names.items() if count > 0]
        return [(run, name) for run, name in found if not name.startswith("never")]

    def pokable(self) -> list[tuple[str, int]]:
        """Return (run, number) of every run that waits to be updated."""
        return [
            (run, POKED + events[0].seq % POKED)
            for run, events in self.journals().items()
            if run in self.open_runs()
            and events[0].payload["workflow"] == "program"
            and events[0].payload["input"][0] == "told"
            and not any(event.type == "update.accepted" for event in events)
        ]

    def still(self) -> list[tuple[str, str]]:
        """Return (run, position) of every step that stands still while no
        question about it is open."""
        found = []
        for run in self.open_runs():
            events = self.journals()[run]
            still = standing_still(events)
            asked: dict[str, str] = {}  # by question, the step it is about
            for event in events if still else ():
                place = (event.payload or {}).get("position", "")
                if event.type == "approval.requested" and place.startswith(HAND):
                    asked[place] = event.payload["input"]["position"]
                elif event.type in ("approval.given", "approval.refused"):
                    asked.pop(place, None)
            found += [(run, one) for one in sorted(still) if one not in asked.values()]
        return found

    def unknown(self) -> list[tuple[str, str, str, int]]:
        """Return (run, position, key, seq) of effects that were sent and have
        no outcome yet."""
        found = []
        for run in self.open_runs():
            last: dict[str, Event] = {}
            for event in self.journals()[run]:
                if event.type.startswith("effect.") and event.type != "effect.compensated":
                    last[event.payload["position"]] = event
            found += [
                (run, position, event.payload["key"], event.seq)
                for position, event in last.items()
                if event.type in ("effect.sent", "effect.ambiguous")
            ]
        return found
