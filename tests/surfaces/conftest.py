"""A small shop on a real store, and the command line in front of it.

Clock and chance are virtual, so that what the commands print can be compared
with the files in `golden/`. `REWRITE=1 pytest tests/surfaces` writes them anew;
commit only a difference you understand.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from agentsquad.assembly.catalogue import index, plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import MissingError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Engine, workflow
from agentsquad.surfaces.cli.main import carried_out, guarded
from agentsquad.surfaces.gateway.operation import operations
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.testing.clock import settle

GOLDEN = Path(__file__).with_name("golden")
START_MS = 1_795_440_000_000  # 2026-11-23 12:00
RULES = """package shop
import rego.v1
actions := {"shop.pay", "shop.label", "approvals.give"}
allow contains {"clause": "shop.any", "reason": "it is only a shop"} if {
    input.action != "approvals.give"
}
allow contains {"clause": "shop.boss", "reason": "the boss says so"} if {
    input.action == "approvals.give"
    input.actor == "person:ada"
}
"""


class Order(msgspec.Struct):
    """What is ordered."""

    lines: list[int]


class Amount(msgspec.Struct):
    micros: int
    currency: str = "USD"


class Payment(msgspec.Struct):
    payee: str
    amount: Amount


class Price(msgspec.Struct):
    n: int


@action("shop.price", effect=Effect.PURE, cli=())
def price(ctx: Any, value: Price) -> Price:
    """Price a line."""
    if value.n < 0:
        raise MissingError(f"no price for {value.n}", code="shop.price")
    return Price(value.n * 2)


@action("shop.look", effect=Effect.READ, cli=())
def look(ctx: Any, value: Price) -> Price:
    """Ask a model what it thinks."""
    ctx.meter(
        model="acme/one", input_tokens=10, output_tokens=4, cost_micros=1_250_000, currency="USD"
    )
    return value


@action("shop.pay", effect=Effect.IRREVERSIBLE, cli=())
def pay(ctx: Any, value: Payment) -> Payment:
    """Pay somebody."""
    return value


@action("shop.crash", effect=Effect.READ, cli=("crash",))
def crash(ctx: Any, value: Price) -> Price:
    """Break one of our own invariants."""
    raise ZeroDivisionError("of all things")


@action("shop.work", effect=Effect.READ, cli=("work",))
def work(ctx: Any, value: Price) -> Price:
    """Work for a while and tell how far it is."""
    ctx.progress("working", done=value.n, total=value.n)
    return value


@action("shop.stop", effect=Effect.READ, cli=("stop",))
def stop(ctx: Any, value: Price) -> Price:
    """Behave as if a person had pressed Ctrl-C."""
    raise KeyboardInterrupt


class Wall(msgspec.Struct, kw_only=True):
    files: Annotated[list[str], Meta(description="pictures", examples=[["one.png"]])]
    colour: Annotated[Literal["red", "blue"], Meta(description="of the wall")] = "red"
    reason: Annotated[str, Meta(description="why; kept in the log")]
    coats: Annotated[int, Meta(description="how often")] = 2
    dry: Annotated[bool, Meta(description="wait until it is dry")] = True


@action(
    "shop.paint",
    effect=Effect.WRITE,
    cli=("paint", "wall"),
    positional=("files",),
    examples=("squad paint wall one.png --reason 'it was grey'",),
)
def paint(ctx: Any, value: Wall) -> Price:
    """Paint a wall; once is never enough.

    The colour stays until somebody paints it over.
    """
    return Price(value.coats)


@workflow("order")
async def order(ctx: Any, value: Order) -> Payment:
    """Price, look, ask, pay."""
    priced = await ctx.map(lambda n: ctx.call("shop.price", Price(n)), value.lines)
    total = sum(one.n for one in priced)
    await ctx.call("shop.look", Price(total))
    payment = Payment("ACME", Amount(total * 1_000_000))
    given = None
    if total > 50:
        given = await ctx.approve(
            "shop.pay",
            payment,
            evidence={"due": f"{total}.00 USD", "invoices": [{"number": "A-1"}]},
            roles=("boss",),
            because="above the limit of 50.00 USD",
            requester="agent:drafter",
        )
        if not given.approved:
            return Payment("nobody", Amount(0))
    return await ctx.call("shop.pay", payment, approval=given)


SHOP = Plugin(
    name="shop",
    actions=(price, look, pay, crash, work, stop, paint),
    workflows=(order,),
    policies={"shop/shop.rego": RULES},
)


class Shop:
    """An installation of everything that ships, and the shop; time stands
    still."""

    def __init__(self) -> None:
        self._registry = Registry((*plugins(), SHOP))
        self._operations = operations(self._registry)
        self.debug = False
        self.environment = os.environ
        self.now_ms = START_MS
        self.opened = 0
        self._policy: PolicyEngine | None = None

    def operations(self) -> Any:
        return self._operations

    def registry(self) -> Registry:
        return self._registry

    def open(self, home: str | None = None, namespace: str | None = None) -> Squad:
        self.opened += 1
        variables = {"SQUAD_USER": "ada", "SQUAD_MODELS": "off"}
        settings = read(variables, home=home, namespace=namespace)
        squad = Squad(settings, self._registry)
        squad.ports.put(Clock, ManualClock(self.now_ms))
        squad.ports.put(Entropy, SeededEntropy(str(self.opened)))
        self._policy = self._policy or squad.world.policy  # slow to compile, never changes
        squad.ports.put(PolicyEngine, self._policy)
        return squad


class Said:
    """What one command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return msgspec.json.decode(self.out)


@pytest.fixture(scope="session")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="session")
def seeded(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that paid, one that failed, and one that waits."""
    home = tmp_path_factory.mktemp("seeded")

    async def seed() -> None:
        squad = shop.open(str(home))
        engine, clock = squad.ports.get(Engine), squad.world.clock
        for key, body in (("paid", {"lines": [1, 2, 3, 4]}), ("asks", {"lines": [30]})):
            run = await engine.start("order", body, key=key, actor="person:ada")
            if key == "paid":
                await engine.wait(run)
            while key == "asks" and not await engine.inbox(run):
                await settle()
            await settle()
            clock._now += 61_000  # time stands still while a run works
        await squad.close()

    shop.opened = 0
    asyncio.run(seed())
    return home


@pytest.fixture
def squad(
    shop: Shop, seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Callable[..., Said]:
    """Type a command; it works on a copy of the seeded store."""
    home = tmp_path / ".squad"
    shutil.copytree(seeded, home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(shop, "now_ms", START_MS + 600_000)
    monkeypatch.setattr(shop, "opened", 0)

    def typed(*words: str, home: str | None = str(home)) -> Said:
        arguments = [*(("--home", home) if home else ()), *words]
        capsys.readouterr()
        code = guarded(lambda: carried_out(shop, arguments), shop, arguments)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return typed


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with a file in `golden/`."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("REWRITE"):
            path.write_text(text)
        assert path.exists(), f"no {path.name}: REWRITE=1 pytest tests/surfaces writes it"
        assert text == path.read_text()

    return compare


@pytest.fixture(scope="session")
def shipped() -> Any:
    """Every operation this distribution offers, from the index."""
    return index()
