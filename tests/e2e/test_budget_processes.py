"""Processes that share one budget on one file and are killed between reserve,
use and settle: nothing is overspent, and the log adds up to what was used.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agentsquad.runtime.engine.adapters.system import SystemClock, SystemEntropy
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget import Limit
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper

LIMIT = 900_000_011
SCOPES = ("tenant:acme", "agent:drafter")
STAGES = ("reserved", "used", "settled")

WORKER = """
import asyncio, os, signal, sys
from agentsquad.kernel.errors import LimitError
from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.adapters.system import SystemClock, SystemEntropy
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.resilience.budget import Request
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper

url, name, invoices, die_at, after = sys.argv[1:]
SCOPES = ("tenant:acme", "agent:drafter")
passed = 0
file = os.open(invoices, os.O_CREAT | os.O_RDWR | os.O_APPEND)
used = dict(line.split() for line in os.read(file, 1 << 20).decode().splitlines())

def at(stage):
    global passed
    passed += stage == die_at
    if stage == die_at and passed > int(after):
        os.kill(os.getpid(), signal.SIGKILL)

async def work(keeper, caller):
    for n in range(6):
        id = f"{name}.{caller}.{n}"
        asked = 10_000_003 + 1_234_567 * ((caller * 7 + n) % 11)
        if id not in used:
            request = Request(id=id, currency="USD", micros=asked, scopes=SCOPES, at_ms=0)
            try:
                await keeper.reserve(request)
            except LimitError:
                print("refused", flush=True)
                continue
            at("reserved")
            cost = asked * (n + 1) // 7
            os.write(file, f"{id} {cost}\\n".encode())  # somebody will send a bill for it
            used[id] = cost
            at("used")
        await keeper.settle(id, SCOPES, Money(int(used[id]), "USD"))
        at("settled")

async def main():
    keeper = BudgetKeeper(open_ledger(url, SystemClock(), SystemEntropy()).store)
    await asyncio.gather(*(work(keeper, caller) for caller in range(10)))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.e2e
def test_killed_processes_overspend_nothing_and_the_log_adds_up_to_the_bills(
    tmp_path: Path,
) -> None:
    """Three processes of ten callers; each is killed at each of three stages
    before it may finish.
    """
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(set_limits(url))

    def start(name: str, life: int) -> subprocess.Popen[str]:
        stage = STAGES[(life + ord(name)) % 3] if life < 3 else "never"
        invoices = str(tmp_path / f"bills-{name}")
        words = [url, name, invoices, stage, str(3 * life)]
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, *words], stdout=subprocess.PIPE, text=True
        )

    refused = 0
    for life in range(4):
        workers = [start(name, life) for name in "abc"]
        for worker in workers:
            output, _ = worker.communicate(timeout=60)
            assert worker.returncode == (0 if life == 3 else -signal.SIGKILL)
            refused += output.count("refused")
    texts = [path.read_text() for path in tmp_path.glob("bills-*")]
    bills = [line.split() for text in texts for line in text.splitlines()]
    assert max(Counter(id for id, _ in bills).values()) == 1, "nothing was done twice"
    assert refused > 10 and len(bills) > 60
    asyncio.run(check(url, sum(int(cost) for _, cost in bills)))


async def set_limits(url: str) -> None:
    ledger = open_ledger(url, SystemClock(), SystemEntropy())
    keeper = BudgetKeeper(ledger.store)
    for scope in SCOPES:
        await keeper.set(Limit(scope=scope, currency="USD", micros=LIMIT), actor="person:ada")
    ledger.close()


async def check(url: str, used: int) -> None:
    """Add the log up without the code that keeps budgets."""
    ledger = open_ledger(url, SystemClock(), SystemEntropy())
    open_ones: dict[tuple[str, str], int] = {}
    spent: Counter[str] = Counter()
    for event in await ledger.store.read(limit=100_000):
        scope, id = event.payload["scope"], event.payload.get("id", "")
        if event.type == "budget.reserved":
            assert (scope, id) not in open_ones
            open_ones[scope, id] = event.payload["micros"]
        elif event.type == "budget.settled":
            del open_ones[scope, id]
            spent[scope] += event.payload["micros"]
        held = sum(micros for (other, _), micros in open_ones.items() if other == scope)
        assert spent[scope] + held <= LIMIT
    assert not open_ones
    assert spent == dict.fromkeys(SCOPES, used)
    for line in await BudgetKeeper(ledger.store).lines(0):
        assert (line.spent, line.reserved, line.open) == (used, 0, 0)
    ledger.close()
