"""Trade: what a squad does with others, in the worlds that have it: messages
that start runs, transactions over two databases, and code that is deployed
while runs of it are open.

Each seed draws which of the three there are. `trade_laws` says what must hold
of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from agentsquad.kernel.event import Event
from agentsquad.kernel.registry import Plugin
from agentsquad.operations.deployment.contract import Loader, Source, SourceFiles
from agentsquad.operations.deployment.plugin import loader, stored_deployments
from agentsquad.operations.deployment.plugin import plugin as deploying
from agentsquad.operations.deployment.source import named
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.engine.contract import Deployments, workflow
from agentsquad.runtime.engine.door import Ports
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.transactions.contract import Participants
from agentsquad.runtime.transactions.plugin import plugin as transactions
from agentsquad.testing.simulator.chance import Chance
from agentsquad.testing.simulator.databases import NAMES, Database, Reached
from agentsquad.testing.simulator.loop import SimulatedLoop
from agentsquad.testing.simulator.network import Network
from agentsquad.testing.simulator.trace import Trace
from agentsquad.testing.simulator.workload import N

if TYPE_CHECKING:
    from agentsquad.testing.simulator.people import People
    from agentsquad.testing.simulator.workload import Author

KINDS = ("messages", "databases", "deployments")
HEARS = {"goods.new": "shipping", "goods.sent": "billing"}
"""Who listens to a topic."""
WARE = "ware"
CHANGES = ("", "before", "after")
"""What the versions of the deployed workflow differ in, in turn."""

_WARE = '''
from agentsquad.runtime.engine.contract import workflow

@workflow("ware")
async def ware(ctx, value):
    """Wait to be told, then pay; what a version changed stands around it."""
    if {before}:
        await ctx.call("sum.double", {{"n": value * 17 + 1}})
    await ctx.sleep(value % 50)
    await ctx.signal("go")
    if {after}:
        await ctx.call("office.look", {{"n": value}})
    await ctx.call("bank.pay", {{"n": value}})
    return [{number}, value]
'''


@workflow("shipping", on="goods.new")
async def shipping(ctx: Any, value: int) -> int:
    """Hear of goods, pay for their way, and say so."""
    await ctx.call("bank.pay", N(value))
    await ctx.call("messages.publish", {"topic": "goods.sent", "payload": value})
    return value


@workflow("billing", on="goods.sent")
async def billing(ctx: Any, value: int) -> int:
    """Hear that goods are on their way."""
    return int((await ctx.call("sum.double", N(value * 17 + 1))).n)


def source_of(number: int) -> Source:
    """Return the source of a version of the deployed workflow."""
    change = CHANGES[number % len(CHANGES)]
    text = _WARE.format(before=change == "before", after=change == "after", number=number)
    return named({"ware.py": text.encode()}, WARE, WARE, f"ware-{number}.py")


class Versions:
    """The files people deploy from (`SourceFiles`)."""

    def read(self, path: str) -> Source:
        """Return the source of "ware-N.py"."""
        return source_of(int(path.removeprefix("ware-").removesuffix(".py")))


class Trade:
    """What one world trades in."""

    FINDING: ClassVar = {
        "messages.publish": "messages.said",
        "transactions.run": "transactions.outcome",
    }

    def __init__(
        self, kinds: list[str], loop: SimulatedLoop, chance: Chance, trace: Trace, network: Network
    ) -> None:
        self.kinds = kinds
        self._chance = chance
        self._network = network
        self.databases = [
            Database(name, loop, chance.fork(name), trace) for name in NAMES if "databases" in kinds
        ]
        for one in self.databases:
            network.listen(one.name, one.answer)
        self.plugins = self._plugins()
        trace.note("trade", f"in {' '.join(kinds)}")

    @classmethod
    def drawn(
        cls, loop: SimulatedLoop, chance: Chance, trace: Trace, network: Network
    ) -> Trade | None:
        """Return what a seed trades in; None for most."""
        if not chance.happens(0.4):
            return None
        kinds = chance.some(KINDS, 0.5) or [chance.pick(KINDS)]
        return cls(kinds, loop, chance, trace, network)

    def _plugins(self) -> tuple[Plugin, ...]:
        found = []
        if "messages" in self.kinds:
            said = tuple(one for one in control.actions if one.name.startswith("messages."))
            found.append(Plugin(name="messages", actions=said, workflows=(shipping, billing)))
        if self.databases:
            found.append(Plugin(name="transactions", actions=transactions.actions))
        if "deployments" in self.kinds:
            found.append(Plugin(name="deployment", actions=deploying.actions))
        return tuple(found)

    def mount(self, ports: Ports, place: str, store: Any, ledger: Ledger) -> None:
        """Give one process its ways out."""
        if self.databases:
            ports.put(Participants, Reached(self._network, place))
        if "deployments" in self.kinds:
            ports.put(Deployments, stored_deployments(store, ledger.blobs))
            ports.put(SourceFiles, Versions())
            ports.put(Loader, loader(None))

    def written(self, tree: list[Any], author: Author) -> list[Any]:
        """Return a program that also trades."""
        chance, parts = self._chance, [tree]
        for kind, node in (("messages", "say"), ("databases", "both"), ("databases", "both")):
            if kind in self.kinds and chance.happens(0.6):
                parts.insert(chance.below(len(parts) + 1), [node, author.number()])
        return [chance.pick(("seq", "par")), parts]

    # --- people

    def doing(
        self, people: People, author: Author, wanted: set[str]
    ) -> list[Coroutine[Any, Any, None]]:
        """Return what people do; runs they want are added to `wanted`."""
        doing = []
        if "messages" in self.kinds:
            numbers = [author.number() for _ in range(self._chance.between(1, 3))]
            doing += [self._publish(people, n) for n in numbers for _ in range(2)]
        if "deployments" in self.kinds:
            numbers = [author.number() for _ in range(self._chance.between(1, 4))]
            wanted |= {f"{WARE} {n}" for n in numbers}
            doing.append(self._deploy(people, numbers))
        return doing

    async def _publish(self, people: People, n: int) -> None:
        """Say one thing, as two people who both saw it do."""
        await asyncio.sleep(self._chance.below(400) / 1000)
        said = {"topic": "goods.new", "payload": n, "key": f"m{n}"}
        await people.insist(people.desk(), op="messages.publish", **said)

    async def _deploy(self, people: People, numbers: list[int]) -> None:
        """Deploy one version after another, and start runs in between."""
        while await people.insist(people.desk(), op="deployments.deploy", file="ware-0.py") is None:
            if people.leaving:
                return
            await asyncio.sleep(0.05)
        starting = [
            people.start(f"{WARE} {n}", n, self._chance.below(400), workflow=WARE) for n in numbers
        ]
        started = asyncio.gather(*starting)
        for version in range(1, 1 + self._chance.between(1, 4)):
            await asyncio.sleep(self._chance.between(20, 300) / 1000)
            what = {"file": f"ware-{version}.py"}
            if version > 1 and self._chance.happens(0.2):
                what = {"rollback": WARE}
            await people.insist(people.desk(), op="deployments.deploy", **what)
        await started

    async def look_up(self, people: People, planned: dict[str, Any]) -> dict[str, Any] | None:
        """Return what became of an effect that nobody knows of, as it is to be
        told; None when that cannot be found out now."""
        asked = {"key": planned["key"], "input": planned["input"]}
        found = await people.insist("engine", op=self.FINDING[planned["action"]], **asked)
        if found is None:
            return None
        return {"confirmed": json.dumps(found["output"])} if found["found"] else {"failed": True}

    async def tidy(self, people: People) -> None:
        """Do what those who look after a squad do now and then."""
        for one in self.databases:
            one.frail = 0.0
        if self.databases:
            await people.say(people.desk(), op="transactions.recover")
        if "messages" in self.kinds:
            await people.say("engine", op="messages.deliver")

    def settled(self, events: list[Event]) -> bool:
        """Whether nothing is under way with others."""
        if any(one.promised for one in self.databases):
            return False
        heard = {
            (e.payload["workflow"], e.payload["input"])
            for e in events
            if e.type == "run.started" and e.payload["workflow"] in HEARS.values()
        }
        said = {
            (HEARS[e.payload["topic"]], e.payload["payload"])
            for e in events
            if e.type == "message.published"
        }
        return said <= heard
