"""Guards around what runs call: breakers, bulkheads, hedges, fallbacks and
rations of retries, over a real log under virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.errors import UnavailableError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.guards import rule_of
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.resilience.guard import Guards
from agentsquad.testing import TestSquad
from agentsquad.workforce.explain.breaker import why_breaker


class Ask(msgspec.Struct):
    """A question."""

    who: str = "bank"


class Partner:
    """A partner whose mood a test sets."""

    def __init__(self) -> None:
        self.calls = 0
        self.well = True
        self.under_way = self.most = 0
        self.takes_ms: list[int] = []
        self.squad: TestSquad | None = None


PARTNER = Partner()


async def _asked(value: Ask) -> str:
    PARTNER.calls += 1
    number = PARTNER.calls
    PARTNER.under_way += 1
    PARTNER.most = max(PARTNER.most, PARTNER.under_way)
    try:
        if PARTNER.takes_ms:
            assert PARTNER.squad is not None
            await PARTNER.squad.clock.sleep_ms(PARTNER.takes_ms.pop(0))
        if not PARTNER.well:
            raise UnavailableError("down", details={"sent": False})
        return f"{value.who} {number}"
    finally:
        PARTNER.under_way -= 1


@action("partner.ask", effect=Effect.READ)
async def ask(ctx: Any, value: Ask) -> str:
    """Ask the partner."""
    return await _asked(value)


@action("partner.pay", effect=Effect.WRITE)
async def pay(ctx: Any, value: Ask) -> str:
    """Tell the partner to pay."""
    return await _asked(value)


@action("partner.cached", effect=Effect.READ)
async def cached(ctx: Any, value: Ask) -> str:
    """What the partner said long ago."""
    return f"{value.who} as of yesterday"


@workflow("asking-once")
async def asking(ctx: Any, value: dict[str, Any]) -> Any:
    """Call one action."""
    retry = RetryPolicy(attempts=value.get("attempts", 1), initial_ms=1, jitter=0)
    return await ctx.call(value["action"], {"who": value.get("who", "bank")}, retry=retry)


@workflow("asking-many")
async def many(ctx: Any, value: int) -> Any:
    """Call it many times at once."""
    return await ctx.map(lambda n: ctx.call("partner.ask", {"who": str(n)}), range(value), limit=99)


class Declared:
    """Guards as a test declares them."""

    def __init__(self, **specs: dict[str, Any]) -> None:
        self.specs = specs

    async def guards(self) -> list[Any]:
        """Return them."""
        return [rule_of(name, spec) for name, spec in self.specs.items()]


def guarded(**specs: dict[str, Any]) -> TestSquad:
    """Return a squad whose calls stand behind these guards."""
    plugin = Plugin(name="partner", actions=(ask, pay, cached), workflows=(asking, many))
    squad = TestSquad(plugin)
    PARTNER.__init__()  # type: ignore[misc]
    PARTNER.squad = squad
    mount(squad, **specs)
    return squad


def mount(squad: TestSquad, **specs: dict[str, Any]) -> None:
    """Put the guards into the world of today."""
    guards = Guards(Declared(**specs), squad.ledger.store, squad.clock)
    squad.world.ports.put(Guards, guards)


BREAKER = {
    "match": ["partner.*"],
    "breaker": {"minimum": 4, "calls": 10, "errorRate": 0.5, "openFor": "30s", "probes": 2},
}


async def call(squad: TestSquad, name: str = "partner.ask", **more: Any) -> Any:
    """Return how a run of one call ended."""
    return await squad.run("asking-once", {"action": name, **more})


async def test_a_breaker_opens_when_half_the_calls_failed_and_then_nothing_is_called():
    squad = guarded(bank=BREAKER)
    for _ in range(2):
        assert (await call(squad)).status == "completed"
    PARTNER.well = False
    for _ in range(2):
        assert (await call(squad)).error["code"] == "unavailable"
    assert PARTNER.calls == 4
    outcome = await call(squad)
    assert outcome.error["code"] == "breaker.open"
    assert outcome.error["message"].endswith("2 of 4 calls failed (50%, limit 50%)")
    assert PARTNER.calls == 4
    assert await kinds(squad) == ["breaker.opened"]


async def kinds(squad: TestSquad, name: str = "bank") -> list[str]:
    """Return what was written about a breaker."""
    events = await squad.ledger.store.read_stream(f"breaker/{name}")
    return [event.type for event in events]


async def opened(squad: TestSquad) -> None:
    """Make the breaker open."""
    PARTNER.well = False
    for _ in range(4):
        await call(squad)


async def test_probes_close_it_and_a_failing_probe_opens_it_for_twice_as_long():
    squad = guarded(bank=BREAKER)
    await opened(squad)
    await squad.clock.advance(30_000)
    assert (await call(squad)).error["code"] == "unavailable"  # the probe
    assert PARTNER.calls == 5
    await squad.clock.advance(30_000)
    assert (await call(squad)).error["code"] == "breaker.open"
    await squad.clock.advance(30_001)
    PARTNER.well = True
    for _ in range(2):
        assert (await call(squad)).status == "completed"
    assert await kinds(squad) == [
        "breaker.opened", "breaker.half_opened", "breaker.opened",
        "breaker.half_opened", "breaker.closed",
    ]  # fmt: skip
    assert (await call(squad)).status == "completed"


async def test_an_effect_behind_an_open_breaker_is_never_planned():
    squad = guarded(bank=BREAKER)
    await opened(squad)
    run = await squad.engine.start("asking-once", {"action": "partner.pay"})
    outcome = await squad.engine.wait(run)
    assert outcome.error["code"] == "breaker.open"
    assert "effect.planned" not in await squad.events(run)


async def test_a_breaker_stays_open_after_a_restart_and_other_partners_are_called():
    squad = guarded(bank={**BREAKER, "by": "/who"})
    await opened(squad)
    await squad.restart()
    mount(squad, bank={**BREAKER, "by": "/who"})
    PARTNER.well = True
    assert (await call(squad)).error["code"] == "breaker.open"
    assert (await call(squad, who="other")).status == "completed"
    assert await kinds(squad, "bank/bank") == ["breaker.opened"]


async def test_a_retry_waits_until_the_breaker_lets_a_probe_pass():
    squad = guarded(bank=BREAKER)
    await opened(squad)
    PARTNER.well = True
    run = await squad.engine.start("asking-once", {"action": "partner.ask", "attempts": 2})
    await squad.clock.advance(10)
    assert (await squad.engine.outcome(run)).status == "running"
    await squad.clock.advance(30_010)
    assert (await squad.engine.wait(run)).output == "bank 5"


async def test_slow_calls_and_money_open_it_too():
    slow = {"match": ["partner.*"], "breaker": {"minimum": 3, "latency": "1s", "percentile": 50}}
    squad = guarded(bank=slow)
    PARTNER.takes_ms = [2_000] * 3
    for _ in range(3):
        run = await squad.engine.start("asking-once", {"action": "partner.ask"})
        await squad.clock.advance(2_000)
        await squad.engine.wait(run)
    error = (await call(squad)).error
    assert "50 % of 3 calls took up to 2000 ms (limit 1000 ms)" in error["message"]


async def test_more_calls_at_once_than_allowed_open_it():
    squad = guarded(bank={"match": ["partner.*"], "breaker": {"concurrency": 3}})
    PARTNER.takes_ms = [100] * 5
    run = await squad.engine.start("asking-many", 5)
    await squad.clock.advance(200)
    outcome = await squad.engine.wait(run)
    assert outcome.error["code"] == "breaker.open" and PARTNER.most == 3


async def test_a_bulkhead_holds_the_others_back_and_refuses_who_finds_the_line_full():
    bulkhead = {"limit": 2, "waiting": 2, "patience": "1s"}
    squad = guarded(bank={"match": ["partner.ask"], "bulkhead": bulkhead})
    PARTNER.takes_ms = [100] * 10
    run = await squad.engine.start("asking-many", 4)
    await squad.clock.advance(500)
    assert (await squad.engine.wait(run)).status == "completed"
    assert PARTNER.most == 2 and PARTNER.calls == 4
    run = await squad.engine.start("asking-many", 5)
    await squad.clock.advance(500)
    assert (await squad.engine.wait(run)).error["code"] == "bulkhead.full"
    assert PARTNER.most == 2


async def test_who_waits_too_long_for_a_place_is_refused_and_places_are_not_lost():
    bulkhead = {"limit": 1, "waiting": 5, "patience": "50ms"}
    squad = guarded(bank={"match": ["partner.ask"], "bulkhead": bulkhead})
    PARTNER.takes_ms = [1_000]
    run = await squad.engine.start("asking-many", 3)
    await squad.clock.advance(2_000)
    assert (await squad.engine.wait(run)).error["code"] == "bulkhead.full"
    assert PARTNER.calls == 1
    assert (await call(squad)).status == "completed"


async def test_a_slow_read_is_made_twice_and_the_first_answer_counts():
    squad = guarded(bank={"match": ["partner.ask"], "hedge": {"after": "100ms", "share": 1}})
    PARTNER.takes_ms = [5_000, 10]
    run = await squad.engine.start("asking-once", {"action": "partner.ask"})
    await squad.clock.advance(100)
    await squad.clock.advance(10)
    outcome = await squad.engine.wait(run)
    assert outcome.output == "bank 2" and PARTNER.under_way == 0
    step = (await squad.ledger.store.read_stream(f"run/{run}"))[1]
    assert step.payload["hedged"] is True


async def test_an_effect_is_never_hedged():
    squad = guarded(bank={"match": ["partner.*"], "hedge": {"after": "1ms", "share": 1}})
    PARTNER.takes_ms = [5_000]
    run = await squad.engine.start("asking-once", {"action": "partner.pay"})
    await squad.clock.advance(5_000)
    assert (await squad.engine.wait(run)).status == "completed" and PARTNER.calls == 1


@pytest.mark.parametrize(
    ("fallback", "said"),
    [({"action": "partner.cached"}, "bank as of yesterday"), ({"output": "unknown"}, "unknown")],
)
async def test_a_read_that_fails_is_answered_otherwise_and_the_log_says_so(fallback, said):
    squad = guarded(bank={"match": ["partner.ask"], "fallback": fallback})
    PARTNER.well = False
    run = await squad.engine.start("asking-once", {"action": "partner.ask"})
    assert (await squad.engine.wait(run)).output == said
    step = (await squad.ledger.store.read_stream(f"run/{run}"))[1]
    assert step.payload["fallback"]["error"]["code"] == "unavailable"


async def test_an_effect_that_fails_is_not_answered_otherwise():
    squad = guarded(bank={"match": ["partner.*"], "fallback": {"output": "paid"}})
    PARTNER.well = False
    assert (await call(squad, "partner.pay")).error["code"] == "unavailable"


async def test_retries_of_all_runs_together_are_rationed():
    retries = {"share": 0, "minimum": 3, "window": "60s"}
    squad = guarded(bank={"match": ["partner.ask"], "retries": retries})
    PARTNER.well = False
    runs = [
        await squad.engine.start("asking-once", {"action": "partner.ask", "attempts": 5})
        for _ in range(4)
    ]
    for _ in range(6):
        await squad.clock.advance(200)
    for run in runs:
        assert (await squad.engine.wait(run)).status == "failed"
    assert PARTNER.calls == 4 + 3


async def test_the_most_specific_guard_counts():
    squad = guarded(
        everything={"match": ["*"], "fallback": {"output": "any"}},
        partner={"match": ["partner.*"], "fallback": {"output": "partner"}},
    )
    PARTNER.well = False
    assert (await call(squad)).output == "partner"


async def test_why_names_the_calls_and_the_least_that_would_have_kept_it_closed():
    squad = guarded(bank=BREAKER)
    await call(squad)
    await opened(squad)
    why = await why_breaker(squad.ledger.store, "bank")
    assert why.answer.endswith("3 of 4 calls failed (75%, limit 50%)") or "failed" in why.answer
    assert why.flip is not None and why.flip.was - why.flip.needed == why.checked
    assert [cause.because for cause in why.causes] == ["unavailable"] * why.flip.was
    events = {event.seq: event for event in await squad.ledger.store.read(limit=500)}
    assert all(events[cause.event].type == "step.failed" for cause in why.causes)
    await asyncio.sleep(0)


async def test_what_is_usual_is_learned_and_counts_below_what_is_set():
    adaptive = {"minimum": 5, "calls": 10, "latency": "60s", "adaptive": 2, "percentile": 50}
    squad = guarded(bank={"match": ["partner.*"], "breaker": adaptive})

    async def taking(ms: int) -> Any:
        PARTNER.takes_ms = [ms]
        run = await squad.engine.start("asking-once", {"action": "partner.ask"})
        await squad.clock.advance(ms)
        return await squad.engine.wait(run)

    for _ in range(20):
        assert (await taking(100)).status == "completed"
    for _ in range(6):
        last = await taking(250)
    assert last.status == "completed"
    assert (await call(squad)).error["code"] == "breaker.open"


async def test_the_agent_named_as_fallback_takes_the_turn_when_the_model_cannot_be_had():
    from agentsquad.runtime.engine.shell import EmbeddedEngine
    from agentsquad.workforce.agents.contract import (
        AgentCatalogue,
        ModelCatalogue,
        ModelReply,
        ModelRequest,
        Usage,
    )
    from agentsquad.workforce.agents.plugin import plugin as agents

    class Catalogue:
        """Three agents, two of them on a model that is down."""

        provider = "stub"

        async def agent(self, name: str) -> dict[str, Any]:
            """Return an agent."""
            other = {"first": "second", "second": "third", "third": "first"}[name]
            return {"spec": {"model": name, "role": name, "fallback": other}}

        def model(self, name: str) -> Catalogue:
            """Return the model."""
            return self

        async def complete(
            self, request: ModelRequest, *, deadline_ms: int | None = None
        ) -> ModelReply:
            """Answer, if it is the third."""
            if request.model != "third" or not PARTNER.well:
                raise UnavailableError("the model is down")
            return ModelReply(model="stub", text="here I am", usage=Usage())

    squad = TestSquad(agents)
    PARTNER.__init__()  # type: ignore[misc]
    for role in (AgentCatalogue, ModelCatalogue):
        squad.world.ports.put(role, Catalogue())
    assert isinstance(squad.engine, EmbeddedEngine)
    assert (await squad.run("agent-turn", {"agent": "first"})).output == "here I am"
    PARTNER.well = False
    outcome = await squad.run("agent-turn", {"agent": "second"})
    assert outcome.error["message"] == "the model is down"  # the circle is not gone round again
