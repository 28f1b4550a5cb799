"""One of several processes that serve one store in PostgreSQL, told what to do
line by line.

`shared_world.py URL FOLDER TTL_MS` reads JSON lines {"id", "do", …} and answers
each with one that has the same id; lines without an id tell what the engine
says. The bank is a file in FOLDER that all processes share: a payment is one
appended line with its key, so what really left can be counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Lease, workflow
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.plugin import system_clock, system_entropy
from agentsquad.runtime.engine.shared import SharedEngine, TenureLease
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import AllowAll

HOME = Path(sys.argv[2] if len(sys.argv) > 2 else ".")


class N(msgspec.Struct):
    n: int


@action("bank.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.lookup")
async def pay(ctx, value: N) -> N:
    """Append one line."""
    handle = os.open(HOME / "bank.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{ctx.idempotency_key} {value.n}\n".encode())
    os.close(handle)
    return value


@action("bank.lookup", effect=Effect.READ)
def lookup(ctx, value: Reconcile) -> Reconciled:
    """Look for the key in the file."""
    bank = HOME / "bank.txt"
    for line in bank.read_text().splitlines() if bank.exists() else ():
        key, n = line.split()
        if key == value.key:
            return Reconciled(found=True, output={"n": int(n)})
    return Reconciled(found=False)


@action("clock.look", effect=Effect.READ)
def look(ctx, value: N) -> N:
    """The nanoseconds since `n`, which another process of this machine took."""
    return N(time.monotonic_ns() - value.n)


@workflow("case")
async def case(ctx, value: N) -> N:
    await ctx.sleep(20)
    await ctx.call("bank.pay", value)
    await ctx.sleep(20)
    return value


@workflow("batch")
async def batch(ctx, value: N) -> int:
    done = await ctx.map(lambda n: ctx.run("case", N(n)), range(value.n), limit=4)
    return len(done)


@workflow("waits")
async def waits(ctx, value: N) -> int:
    sent = await ctx.signal("go")
    return (await ctx.call("clock.look", N(sent))).n


PLUGIN = Plugin(name="shared-world", actions=(pay, lookup, look), workflows=(case, batch, waits))


class Served:
    """The engine of this process, and what can be asked of it."""

    def __init__(self, url: str, ttl_ms: int) -> None:
        clock, entropy = system_clock(), system_entropy()
        self.ledger = open_ledger(url, clock, entropy)
        ports = Ports(
            {
                EventStore: self.ledger.store,
                BlobStore: self.ledger.blobs,
                PolicyEngine: AllowAll(),
                Clock: clock,
                Entropy: entropy,
                Ledger: self.ledger,
                Lease: TenureLease(self.ledger.tenure),
            }
        )
        world = World(Registry.of(PLUGIN), ports)
        self.engine = SharedEngine(
            world, self.ledger.tenure, lambda: EmbeddedEngine(world), ttl_ms=ttl_ms
        )
        self.engine.say = lambda text: tell({"say": text})

    async def do(self, told: dict[str, Any]) -> Any:
        """Carry out one line."""
        engine = self.engine
        match told["do"]:
            case "join":
                return await engine.join()
            case "start":
                return await engine.start(told["workflow"], N(told["n"]), key=told.get("key"))
            case "wait":
                outcome = await engine.wait(told["run"], timeout_ms=told.get("ms", 60_000))
                return msgspec.to_builtins(outcome)
            case "signal":
                return await engine.signal(
                    told["run"], "go", time.monotonic_ns(), actor="person:ada"
                )
            case "types":
                events = await self.ledger.store.read_stream(f"run/{told['run']}")
                return [event.type for event in events]
            case "standing":
                tenure = self.ledger.tenure
                return {
                    "driving": engine.driving,
                    "token": tenure.standing().token,
                    "held": tenure.held,
                    "members": [msgspec.to_builtins(one) for one in tenure.members()],
                    "down": engine.steps_down,
                }
            case "append":  # as a step of a run would, whatever the engine thinks
                event = NewEvent(stream="mine", type="x.written", payload={"n": told["n"]})
                [written] = await self.ledger.store.append([event])
                return written.seq
            case "block":  # as a long collection of garbage does
                time.sleep(told["s"])  # noqa: ASYNC251 - that is the point
                return True
            case "end":
                await engine.drain(5_000)
                await engine.close()
                self.ledger.close()
                return True


def tell(line: dict[str, Any]) -> None:
    """Write one line."""
    os.write(1, json.dumps(line).encode() + b"\n")


async def answer(served: Served, told: dict[str, Any]) -> None:
    """Carry out a line and answer it."""
    try:
        tell({"id": told["id"], "ok": await served.do(told)})
    except SquadError as error:
        tell({"id": told["id"], "error": error.code, "message": error.message})


async def main() -> None:
    served = Served(sys.argv[1], int(sys.argv[3]))
    tell({"say": "ready"})
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        told = json.loads(line)
        task = loop.create_task(answer(served, told))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if told["do"] == "end":
            await task
            return


if __name__ == "__main__":
    asyncio.run(main())
