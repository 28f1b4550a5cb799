"""A worker process and the world it works on: a log in a file, and a bank that
is a file.

`python temporal_world.py STORE ADDRESS BANK` serves until it is killed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import BlobStore, Clock, Entropy, EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Engine, workflow
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.interceptors.effect import Reconcile, Reconciled
from agentsquad.runtime.engine.plugin import system_clock, system_entropy
from agentsquad.runtime.ledger.contract import Ledger
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.temporal.plugin import open_engine, open_worker
from agentsquad.testing import AllowAll

BANK = Path(os.devnull)


class N(msgspec.Struct):
    n: int


def book(key: str, n: int) -> None:
    """Write one line, whole or not at all."""
    handle = os.open(BANK, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{key} {n}\n".encode())
    os.close(handle)


def booked() -> list[tuple[str, int]]:
    """What arrived at the bank."""
    lines = BANK.read_text().splitlines() if BANK.exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines]


@action("feed.read", effect=Effect.READ)
async def read(ctx, value: N) -> N:
    """Read."""
    await asyncio.sleep(0.02)
    if value.n == 13:
        raise InvalidError("unlucky", code="feed.unlucky")
    return N(value.n + 1)


@action("bank.pay", effect=Effect.WRITE, compensate="bank.refund", reconcile="bank.known")
async def pay(ctx, value: N) -> N:
    """Pay."""
    await asyncio.sleep(0.01)
    book(ctx.idempotency_key, value.n)
    await asyncio.sleep(0.01)
    return value


@action("bank.refund", effect=Effect.WRITE, reconcile="bank.known")
async def refund(ctx, value: dict) -> N:
    """Give back."""
    await asyncio.sleep(0.01)
    book(ctx.idempotency_key, -value["input"]["n"])
    return N(-value["input"]["n"])


@action("bank.known", effect=Effect.READ)
def known(ctx, value: Reconcile) -> Reconciled:
    """Say whether a key arrived."""
    for key, n in booked():
        if key == value.key:
            return Reconciled(found=True, output={"n": n})
    return Reconciled(found=False)


@workflow("order")
async def order(ctx, value: N) -> list:
    """Reads and payments, a child, a wait, a fan-out; every fourth fails and is
    undone."""
    saga = ctx.saga()
    done = []
    for step in range(2):
        seen = await ctx.call("feed.read", N(100 * value.n + step))
        done.append((await saga.call("bank.pay", seen)).n)
    await ctx.sleep(40)
    done.append(await ctx.run("delivery", value))
    looked = await ctx.map(lambda n: ctx.call("feed.read", N(n)), range(4), limit=2)
    await ctx.call("feed.read", N(13 if value.n % 4 == 3 else 1))
    return [*done, sum(one.n for one in looked)]


@workflow("delivery")
async def delivery(ctx, value: N) -> int:
    """A child."""
    seen = await ctx.call("feed.read", N(7))
    return (await ctx.call("bank.pay", N(value.n + seen.n))).n


PLUGIN = Plugin(name="orders", actions=(read, pay, refund, known), workflows=(order, delivery))


def opened(store: str, bank: str) -> World:
    """An installation in this process."""
    global BANK
    BANK = Path(bank)
    clock, entropy = system_clock(), system_entropy()
    ledger = open_ledger(store, clock, entropy)
    ports = {
        EventStore: ledger.store,
        BlobStore: ledger.blobs,
        PolicyEngine: AllowAll(),
        Clock: clock,
        Entropy: entropy,
        Ledger: ledger,
    }
    return World(Registry.of(PLUGIN), Ports(ports))


def main() -> None:
    store, address, bank = sys.argv[1:]
    world = opened(store, bank)
    world.ports.put(Engine, open_engine(world, address))
    asyncio.run(open_worker(world, address).serve(seconds=None, tell=print))
    # As `squad worker` ends (assembly/main.py): Temporal's client has threads
    # that Python does not know of, and may abort where the interpreter is
    # taken down under them.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    # Under the name by which the test knows it: definitions are pinned to where
    # their code stands.
    spec = importlib.util.spec_from_file_location("squad_temporal_world", __file__)
    assert spec and spec.loader
    sys.modules[spec.name] = same = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(same)
    same.main()
