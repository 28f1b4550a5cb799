"""The kill switch: a reading of the stream `control/switch`.

`control.halted` stops every outward effect of every process on the log at its
next step; `control.resumed` lifts it.
"""

from __future__ import annotations

from agentsquad.kernel.ports import EventStore

STREAM = "control/switch"


class Gate:
    """Knows whether effects may leave."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._version = 0
        self._halted = False
        self.reason = ""

    async def halted(self) -> bool:
        """Whether the switch is on, other processes' switches included."""
        for event in await self._store.read_stream(STREAM, after=self._version):
            self._version = event.stream_seq
            self._halted = event.type == "control.halted"
            self.reason = (event.payload or {}).get("reason", "")
        return self._halted
