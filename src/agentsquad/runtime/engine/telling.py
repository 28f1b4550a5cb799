"""Telling: queries, updates and signals on their way to a run.

Queries and validators are asked of a copy of the run, made from its journal and
thrown away: no handler can change a run by looking at it, a parked or ended run
answers as one at work does, and a process that drives no runs may ask.

Laws: a refused update writes nothing; an update is accepted at exactly the
state its validator saw; the same key gives the same answer for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from agentsquad.kernel.errors import ConflictError, DeadlineError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.kernel.ids import new_id
from agentsquad.kernel.registry import nearest
from agentsquad.runtime.engine.contract import (
    DefinitionChangedError,
    NonDeterministicError,
    Workflow,
)
from agentsquad.runtime.engine.decider import Instance
from agentsquad.runtime.engine.flow import plain
from agentsquad.runtime.engine.inbound.contract import (
    SignalPayloadError,
    SignalUnknownError,
    UpdateAnswer,
    UpdateKeyError,
)
from agentsquad.runtime.engine.listening import BUILT_IN, UPDATE
from agentsquad.runtime.engine.outside import Outside, refuse_ended
from agentsquad.runtime.engine.resolving import Told
from agentsquad.runtime.engine.router import Router
from agentsquad.runtime.engine.standing import built_in, status
from agentsquad.runtime.engine.state import END_EVENTS

LOOK_MS = 100  # how soon an answer another process gives is seen
ANSWERS = ("update.completed", "update.failed")


class Telling:
    """What is asked of runs and told to them."""

    def __init__(self, router: Router, outside: Outside) -> None:
        self._router = router
        self._outside = outside
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        router.watchers.append(self._hear)

    # --- queries

    async def query(self, run: str, name: str, value: Any = None) -> Any:
        """Return what a run answers; nothing of it is written."""
        journal = await self._outside.journal(run)
        if name == "status":
            return status(journal)
        copy = await self.copy(run, journal)
        try:
            if name in BUILT_IN:
                return built_in(copy, name)
            return copy.look(name, plain(value))
        finally:
            copy.release()

    async def copy(self, run: str, journal: Sequence[Event]) -> Instance:
        """Return a run as it stands after its journal, driven by nobody."""
        if any(event.payload is None for event in journal):
            raise MissingError(f"part of run {run} was erased", code="run.erased")
        version = await self._router.versions.of(run, journal)
        instance = Instance(run, version.workflow, version.world.registry)
        for event in journal:
            instance.apply(event)
        return instance

    # --- signals

    async def signal(
        self, run: str, name: str, payload: Any, *, actor: str, key: str | None = None
    ) -> bool:
        """Send a signal; False when one of this name and key came before."""
        body: dict[str, Any] = {"name": name, "payload": plain(payload)}
        if key is None:
            await self._check_signal(run, body)
            await self._outside.tell(run, "signal.received", body, actor)
            return True
        body["key"] = key

        async def once(journal: Sequence[Event]) -> list[Told]:
            for event in journal:
                came = event.payload or {}
                if event.type == "signal.received" and (came.get("name"), came.get("key")) == (
                    name,
                    key,
                ):
                    return []
            refuse_ended(run, journal)
            await self._fits(run, journal, body)
            return [("signal.received", body)]

        return bool(await self._outside.transact(run, once, actor))

    async def _check_signal(self, run: str, body: dict[str, Any]) -> None:
        # Where this process drives runs, to tell one something loads it anyway.
        with contextlib.suppress(DefinitionChangedError, NonDeterministicError):
            drive = self._router.drives.get(run)
            if drive is None and self._outside.driving:
                drive = await self._router.load(run)
            if drive is not None:
                check_signal(drive.instance.workflow, body)
            elif not self._outside.driving:
                await self._fits(run, await self._outside.journal(run), body)

    async def _fits(self, run: str, journal: Sequence[Event], body: dict[str, Any]) -> None:
        with contextlib.suppress(DefinitionChangedError):  # then nothing is known of its signals
            version = await self._router.versions.of(run, journal)
            check_signal(version.workflow, body)

    # --- updates

    async def update(
        self,
        run: str,
        name: str,
        value: Any = None,
        *,
        actor: str,
        key: str | None = None,
        timeout_ms: int | None = None,
    ) -> UpdateAnswer:
        """Have a run take an update, and return its answer; `timeout_ms` 0
        returns as soon as it is accepted."""
        world = self._router.world
        key = key or new_id(world.clock, world.entropy)
        accept = partial(self._accept, run, name, plain(value), key)
        await self._outside.transact(run, accept, actor)
        return await self._answer(run, key, timeout_ms)

    async def _accept(
        self, run: str, name: str, value: Any, key: str, journal: Sequence[Event]
    ) -> list[Told]:
        count = 0
        for event in journal:
            if event.type != "update.accepted":
                continue
            count += 1
            body = event.payload
            if body["key"] == key:
                if (body["name"], body["input"]) != (name, value):
                    raise UpdateKeyError(
                        f"the key {key} was used for {body['name']} with another input",
                        hint="use a key for one update only",
                    )
                return []
        refuse_ended(run, journal)
        copy = await self.copy(run, journal)
        try:
            copy.judge(name, value)
        finally:
            copy.release()
        position = f"{UPDATE}{count + 1}"
        body = {"position": position, "key": key, "name": name, "input": value}
        return [("update.accepted", body)]

    async def _answer(self, run: str, key: str, timeout_ms: int | None) -> UpdateAnswer:
        clock = self._router.world.clock
        end = None if timeout_ms is None else clock.now_ms() + timeout_ms
        while True:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(run, []).append(woken)
            try:
                journal = await self._outside.journal(run)
                found = answered(run, key, journal)
                if found.status != "accepted" or timeout_ms == 0:
                    return found
                if run in self._router.stuck:
                    raise self._router.stuck[run]
                if journal[-1].type in END_EVENTS:
                    raise ConflictError(f"run {run} ended without an answer", code="run.ended")
                if end is not None and clock.now_ms() >= end:
                    raise DeadlineError(
                        f"run {run} took {found.name} and has not answered yet",
                        code="update.waiting",
                        hint=f"ask again with the key {key}",
                        details={"key": key},
                    )
                alarm = asyncio.ensure_future(clock.sleep_ms(LOOK_MS))
                try:
                    await asyncio.wait((woken, alarm), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    alarm.cancel()
            finally:
                self._forget(run, woken)

    def _forget(self, run: str, woken: asyncio.Future[None]) -> None:
        waiters = self._waiters[run]
        waiters.remove(woken)
        if not waiters:
            del self._waiters[run]

    def _hear(self, event: Event) -> None:
        """Wake those who wait for answers of a run."""
        if self._waiters and (event.type in ANSWERS or event.type in END_EVENTS):
            for woken in self._waiters.get(event.stream.removeprefix("run/"), ()):
                if not woken.done():
                    woken.set_result(None)


def answered(run: str, key: str, journal: Sequence[Event]) -> UpdateAnswer:
    """Return what a journal says of an update."""
    name = ""
    for event in journal:
        body = event.payload or {}
        if body.get("key") != key:
            continue
        if event.type == "update.accepted":
            name = body["name"]
        elif event.type == "update.completed":
            return UpdateAnswer(
                run=run, name=name, key=key, status="completed", output=body.get("output")
            )
        elif event.type == "update.failed":
            return UpdateAnswer(run=run, name=name, key=key, status="failed", error=body["error"])
    return UpdateAnswer(run=run, name=name, key=key, status="accepted")


def check_signal(workflow: Workflow, body: dict[str, Any]) -> None:
    """Raise unless a workflow takes such a signal; one that declares none takes
    all."""
    declared = workflow.signals
    if not declared:
        return
    name = body["name"]
    if name not in declared:
        raise SignalUnknownError(
            f"{workflow.name} takes no signal {name!r}", hint=nearest(name, list(declared))
        )
    if declared[name] is Any:
        return
    try:
        msgspec.convert(body["payload"], declared[name], strict=False)
    except msgspec.ValidationError as error:
        raise SignalPayloadError(f"the signal {name} of {workflow.name}: {error}") from error
