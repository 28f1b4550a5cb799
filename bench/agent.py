"""Measures what one agent turn costs beside the model: two model calls and one
tool call, the model a stub that answers at once.

Ours is journaled: the briefing, each model call and the tool call are events of
a SQLite log; a model call is synced before anything else begins, the others
share the next sync. Once one after another, once so with turns of a single
model call, once with a hundred turns under way, as in a service. LangGraph
syncs each step (its SQLite saver, durability "sync"); agent-framework-core and
pydantic-ai keep nothing. Processor time is the figure to look at; the middle of
the rounds is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

import peers
from agentsquad.assembly.main import spare_collector
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.plugin import system_clock, system_entropy
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import AllowAll
from agentsquad.workforce.agents.contract import (
    AgentCatalogue,
    ModelCatalogue,
    ModelReply,
    ModelRequest,
    ToolCall,
    Usage,
)
from agentsquad.workforce.agents.plugin import plugin as agents

RIVALS = ("agent_framework", "pydantic_ai", "langgraph_agent")
OURS = {
    "SQLite": ("sqlite", 1),
    "SQLite, 100": ("sqlite", 100),
    "SQLite, one call": ("sqlite", 1, "plain"),
    "memory": ("memory", 1),
}
SPEC = {"model": "stub", "role": "a clerk", "tools": ["order.status"]}


class Order(msgspec.Struct):
    """Which order."""

    order_id: int


@action("order.status", effect=Effect.READ)
async def status(ctx: Any, value: Order) -> str:
    """Return the status of an order."""
    return peers.order_status(value.order_id)


class Clerk:
    """A catalogue of one agent and of a model that knows by the conversation
    what to say next."""

    provider = "stub"
    plain = False  # whether it answers without the tool
    CALL = ToolCall(id="1", name="order.status", arguments={"order_id": 42})
    USAGE = Usage(input_tokens=100, output_tokens=10, cost_micros=7)

    def model(self, name: str) -> Clerk:
        """Return the model."""
        return self

    async def agent(self, name: str) -> dict[str, Any]:
        """Return the agent."""
        return {"spec": SPEC}

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        """Call the tool, then answer."""
        if self.plain or request.messages[-1].role == "tool":
            return ModelReply(model="stub", text=peers.ANSWER, usage=self.USAGE)
        calls = (self.CALL,)
        return ModelReply(
            model="stub", text="", tool_calls=calls, finish="tool_calls", usage=self.USAGE
        )


async def ours(seconds: float, store: str, width: int, kind: str = "") -> dict[str, float]:
    """Take turns on this project's engine, so many at once; a plain turn is one
    model call."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        clock, entropy, clerk = system_clock(), system_entropy(), Clerk()
        clerk.plain = kind == "plain"
        url = f"sqlite:///{folder}/log.db" if store == "sqlite" else "memory:"
        ledger = open_ledger(url, clock, entropy)
        ports = Ports(
            {
                EventStore: ledger.store,
                PolicyEngine: AllowAll(),
                Clock: clock,
                Entropy: entropy,
                ModelCatalogue: clerk,
                AgentCatalogue: clerk,
            }
        )
        registry = Registry.of(agents, Plugin(name="bench", actions=(status,)))
        squad = EmbeddedEngine(World(registry, ports))
        spare_collector()  # as the program does when it opens an installation

        async def turn(number: int) -> None:
            value = {"agent": "clerk", "input": peers.QUESTION}
            outcome = await squad.wait(await squad.start("agent-turn", value))
            assert outcome.output == peers.ANSWER, outcome

        for number in range(20):
            await turn(-1 - number)
        commits = ledger.store.commits  # type: ignore[attr-defined]
        took, wall, cpu = await peers.flow(turn, width, seconds=seconds)
        commits = ledger.store.commits - commits  # type: ignore[attr-defined]
        found = {
            "cpu_ms": cpu / len(took) * 1e3,
            "p50_ms": took[len(took) // 2] * 1e3,
            "turns_s": len(took) / wall,
            "syncs": commits / len(took) if store == "sqlite" else 0.0,
        }
        await squad.close()
        ledger.close()
        return found


def main() -> None:
    """Run one cell, or rounds of ours and the peers'."""
    if sys.argv[1:2] == ["cell"]:
        given = (float(sys.argv[2]), sys.argv[3], int(sys.argv[4]), *sys.argv[5:6])
        print(json.dumps(asyncio.run(ours(*given))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    names = [*(f"ours, {one}" for one in OURS), *(p for p in RIVALS if peers.interpreter(p))]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(options.rounds):
        print(peers.conditions(), file=sys.stderr, flush=True)
        for name in names if number % 2 == 0 else names[::-1]:
            if name.startswith("ours"):
                how = OURS[name.partition(", ")[2]]
                line = peers.measured(__file__, sys.executable, "cell", 2, *how)
            else:
                line = peers.measured(peers.__file__, str(peers.interpreter(name)), name, 2)
            found[name].append(line)
    print(f"{'one turn':<20}{'cpu ms':>10}{'p50 ms':>10}{'syncs':>8}{'ours is':>28}")
    for name, lines in found.items():
        told = [line for line in lines if "failed" not in line]
        if not told:
            print(f"{name:<20}{lines[-1]['failed'][:100]}")
            continue
        cpu, middle = (statistics.median(line[f] for line in told) for f in ("cpu_ms", "p50_ms"))
        ratios = [
            theirs["cpu_ms"] / mine["cpu_ms"]
            for theirs, mine in zip(lines, found["ours, SQLite"], strict=True)
            if "cpu_ms" in theirs and "cpu_ms" in mine
        ]
        middle_ratio = statistics.median(ratios)
        times = "" if "ours" in name else f"{middle_ratio:.1f} times cheaper"
        if middle_ratio < 1 and times:
            times = f"{1 / middle_ratio:.1f} times dearer"
        syncs = f"{told[0]['syncs']:.2f}" if "syncs" in told[0] else ""
        print(f"{name:<20}{cpu:>10.3f}{middle:>10.3f}{syncs:>8}{times:>28}")
    print(f"conditions at the end: {peers.conditions()}")


if __name__ == "__main__":
    main()
