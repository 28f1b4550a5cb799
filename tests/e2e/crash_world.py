"""The program that `test_kill.py` kills: ten cases of reading, computing and
paying.

The bank is a file: a payment is one appended and synced line with its key, so
what really left survives the kill and can be counted.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.asking import decide, query
from agentsquad.runtime.engine.contract import Lease, workflow
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.plugin import file_lease, system_clock, system_entropy
from agentsquad.runtime.engine.shell import EmbeddedEngine
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import AllowAll

HOME = Path(sys.argv[1])
BANK = HOME / "bank.txt"
CASES = 10


class N(msgspec.Struct):
    n: int


@action("math.double", effect=Effect.PURE)
def double(ctx, value: N) -> N:
    """Double."""
    return N(value.n * 2)


@action("net.look", effect=Effect.READ)
async def look(ctx, value: N) -> N:
    """Look something up, slowly."""
    await asyncio.sleep(0.002)
    return N(value.n + 1)


@action("bank.pay", effect=Effect.IRREVERSIBLE, reconcile="bank.lookup")
async def pay(ctx, value: N) -> N:
    """Append one line and sync it."""
    handle = os.open(BANK, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{ctx.idempotency_key} {value.n}\n".encode())
    os.fsync(handle)
    os.close(handle)
    await asyncio.sleep(0.003)
    return value


@action("bank.lookup", effect=Effect.READ)
def lookup(ctx, value: Reconcile) -> Reconciled:
    """Look for the key in the file."""
    lines = BANK.read_text().splitlines() if BANK.exists() else []
    for line in lines:
        key, n = line.split()
        if key == value.key:
            return Reconciled(found=True, output={"n": int(n)})
    return Reconciled(found=False)


@workflow("case")
async def case(ctx, value: N) -> N:
    doubled = await ctx.call("math.double", value)
    looked = await ctx.call("net.look", doubled)
    await ctx.sleep(5)
    return await ctx.call("bank.pay", looked)


@workflow("batch")
async def batch(ctx, value: N) -> list:
    return await ctx.map(lambda n: ctx.run("case", N(n)), range(value.n), limit=4)


async def main() -> None:
    clock, entropy = system_clock(), system_entropy()
    ledger = open_ledger(f"sqlite:///{HOME}/log.db", clock, entropy)
    plugin = Plugin(
        name="crash", actions=(double, look, pay, lookup, decide, query), workflows=(case, batch)
    )
    ports = Ports(
        {
            EventStore: ledger.store,
            PolicyEngine: AllowAll(),
            Clock: clock,
            Entropy: entropy,
            Lease: file_lease(HOME / "engine.lock"),
        }
    )
    engine = EmbeddedEngine(World(Registry.of(plugin), ports))
    await engine.recover()
    run = await engine.start("batch", N(CASES), key="the-batch")
    outcome = await engine.wait(run)
    print(outcome.status, [one["n"] for one in outcome.output], flush=True)
    await engine.close()
    ledger.close()


if __name__ == "__main__":
    asyncio.run(main())
