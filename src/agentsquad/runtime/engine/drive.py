"""Drive: one run in memory, its instance and what is under way for it."""

from __future__ import annotations

import asyncio

from agentsquad.runtime.engine.command import Command
from agentsquad.runtime.engine.decider import Instance


class Drive:
    """One run in memory: its instance and the steps under way."""

    __slots__ = ("instance", "issued", "next", "settling", "stopped", "stream", "tasks")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.stream = f"run/{instance.run_id}"
        self.issued: set[str] = set()
        self.settling: set[str] = set()
        self.stopped = False
        self.next: tuple[str, Command | None] | None = None
        self.tasks: dict[str, asyncio.Task[None]] = {}
