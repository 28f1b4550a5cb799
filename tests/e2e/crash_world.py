"""The program that `test_kill.py` kills: a batch of cases of reading, computing
and paying.

The bank is a file: a payment is one appended and synced line with its key, so
what really left survives the kill and can be counted. So is the list of events
that the log has acknowledged.

Started as `crash_world.py HOME CASES` it does the batch. Started as
`crash_world.py zygote` it has everything loaded, and for each line "HOME CASES"
forks a process that does the batch there: the same process to kill, sooner.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.event import Event, NewEvent
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

HOME = Path()


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
    handle = os.open(HOME / "bank.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{ctx.idempotency_key} {value.n}\n".encode())
    os.fsync(handle)
    os.close(handle)
    await asyncio.sleep(0.003)
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


@workflow("case")
async def case(ctx, value: N) -> N:
    doubled = await ctx.call("math.double", value)
    looked = await ctx.call("net.look", doubled)
    await ctx.sleep(5)
    return await ctx.call("bank.pay", looked)


@workflow("batch")
async def batch(ctx, value: N) -> list:
    return await ctx.map(lambda n: ctx.run("case", N(n)), range(value.n), limit=4)


REGISTRY = Registry.of(
    Plugin(
        name="crash", actions=(double, look, pay, lookup, decide, query), workflows=(case, batch)
    )
)


class Acknowledged:
    """A store that notes, after each append was acknowledged, what it was."""

    def __init__(self, inner: Any, path: Path) -> None:
        self._inner = inner
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(
        self, events: Sequence[NewEvent], *, expect: Mapping[str, int] | None = None
    ) -> list[Event]:
        stored: list[Event] = await self._inner.append(events, expect=expect)
        lines = "".join(f"{e.seq} {e.stream} {e.type} {e.payload_digest}\n" for e in stored)
        os.write(self._handle, lines.encode())
        return stored


async def main(cases: int) -> str:
    clock, entropy = system_clock(), system_entropy()
    ledger = open_ledger(f"sqlite:///{HOME}/log.db", clock, entropy)
    ports = Ports(
        {
            EventStore: Acknowledged(ledger.store, HOME / "acknowledged.txt"),
            PolicyEngine: AllowAll(),
            Clock: clock,
            Entropy: entropy,
            Lease: file_lease(HOME / "engine.lock"),
        }
    )
    engine = EmbeddedEngine(World(REGISTRY, ports))
    await engine.recover()
    run = await engine.start("batch", N(cases), key="the-batch")
    outcome = await engine.wait(run)
    await engine.close()
    ledger.close()
    return f"{outcome.status} {[one['n'] for one in outcome.output]}"


def live(home: str, cases: int) -> None:
    """Do the batch and write down how it ended."""
    global HOME
    HOME = Path(home)
    (HOME / "outcome.txt").write_text(asyncio.run(main(cases)))


def zygote() -> None:
    """Fork a process for each line, tell its number, and how it ended."""
    for line in sys.stdin:
        home, cases = line.split()
        process = os.fork()
        if not process:
            code = 1
            try:
                live(home, int(cases))
                code = 0
            finally:
                os._exit(code)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "zygote":
        zygote()
    else:
        live(sys.argv[1], int(sys.argv[2]))
