"""People: those who start runs, answer questions, send signals, change their
minds and pull the switch, over a network that loses their messages.

They are outside of everything that fails and repeat what was not answered, as
people do.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agentsquad.kernel.errors import DeadlineError, SquadError, UnavailableError
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.network import Network
from agentsquad.testing.simulator.squad_oracle import SquadOracle

WHO = ("person:ada", "person:bob")


class People:
    """Everybody who sends messages to the squad."""

    def __init__(
        self, network: Network, oracle: SquadOracle, chance: Chance, desks: tuple[str, ...]
    ) -> None:
        self._network = network
        self._oracle = oracle
        self._chance = chance
        self._desks = desks  # the processes that take answers
        self.started: dict[str, str] = {}  # key -> run
        self.leaving = False
        self.patient = False  # in peace every wish is carried through

    async def ask(self, target: str, **message: Any) -> Any:
        """Send one message and return the reply."""
        return await self._network.call("people", target, message, timeout_ms=400)

    async def insist(self, target: str, **message: Any) -> Any:
        """Send a message until there is an answer, and return it; None when it
        was refused."""
        while not self.leaving:
            try:
                return await self.ask(target, **message)
            except (DeadlineError, UnavailableError):
                await asyncio.sleep(self._chance.between(20, 120) / 1000)
            except SquadError as error:
                self._oracle.heard(error)
                return None
        return None

    def desk(self) -> str:
        """Return one of the processes that take answers."""
        return self._chance.pick(self._desks)

    async def start(
        self, key: str, value: Any, delay_ms: int, *, workflow: str = "program"
    ) -> None:
        """Start a run, in the end."""
        await asyncio.sleep(delay_ms / 1000)
        run = await self.insist("engine", op="start", key=key, value=value, workflow=workflow)
        if run is not None:
            self.started[key] = run

    async def answer(self) -> None:
        """Look into the inbox now and then, and answer what is asked."""
        while not self.leaving:
            await asyncio.sleep(self._chance.between(20, 200) / 1000)
            desk = self._chance.pick(self._desks)
            try:
                questions = await self.ask(desk, op="inbox")
            except SquadError:
                continue
            for item, _ in questions:
                approve = self._chance.happens(0.8)
                who = self._chance.pick(WHO)
                for _ in range(1 + self._chance.happens(0.2)):
                    await self.say(desk, op="answer", item=item, approve=approve, who=who)

    async def signal(self) -> None:
        """Send the signals that runs wait for."""
        while not self.leaving:
            await asyncio.sleep(self._chance.between(20, 200) / 1000)
            for run, name in self._oracle.awaited():
                await self.say(
                    self._chance.pick(self._desks), op="signal", run=run, name=name, value=name
                )

    async def poke(self) -> None:
        """Update the runs that wait for it, by a key, twice now and then."""
        while not self.leaving:
            await asyncio.sleep(self._chance.between(20, 200) / 1000)
            for run, number in self._oracle.pokable():
                for _ in range(1 + self._chance.happens(0.3)):
                    desk = self._chance.pick(self._desks)
                    await self.say(desk, op="poke", run=run, n=number, key="poke")

    async def move(self) -> None:
        """Have steps that stand still tried again otherwise, or given up."""
        while not self.leaving:
            await asyncio.sleep(self._chance.between(50, 300) / 1000)
            for run, position in self._oracle.still():
                means = "fail" if self._chance.happens(0.2) else "patch"
                desk = self._chance.pick(self._desks)
                await self.say(desk, op="move", run=run, position=position, means=means)

    async def change_minds(self, among: int) -> None:
        """Cancel a run now and then."""
        for _ in range(among):
            await asyncio.sleep(self._chance.between(50, 900) / 1000)
            if self.started and not self.patient:
                run = self._chance.pick(list(self.started.values()))
                await self.say(self._chance.pick(self._desks), op="cancel", run=run)

    async def pull_the_switch(self) -> None:
        """Stop all effects for a while."""
        await asyncio.sleep(self._chance.between(50, 700) / 1000)
        desk = self._chance.pick(self._desks)
        if await self.insist(desk, op="control.halt", reason="a drill") is not None:
            await asyncio.sleep(self._chance.between(20, 400) / 1000)
        await self.insist(desk, op="control.lift", reason="the drill is over")

    async def say(self, target: str, **message: Any) -> None:
        """Send one message; what is refused is judged."""
        try:
            await self.ask(target, **message)
        except SquadError as error:
            self._oracle.heard(error)
