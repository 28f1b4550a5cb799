"""Steps of real runs that share places, under virtual time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.action import Effect, RetryPolicy, action
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.pools import KIND, rule_of
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.resilience.places import Need
from agentsquad.runtime.resilience.pools import Pools
from agentsquad.testing import TestSquad


class Job(msgspec.Struct):
    """Work of some length for somebody."""

    ms: int = 100
    tenant: str = "acme"


DONE: list[tuple[str, int]] = []
NOW: dict[str, Any] = {}


async def _work(value: Job) -> str:
    NOW["busy"] += 1
    NOW["most"] = max(NOW["most"], NOW["busy"])
    await NOW["squad"].clock.sleep_ms(value.ms)
    NOW["busy"] -= 1
    DONE.append((value.tenant, NOW["squad"].clock.now_ms() - NOW["began"]))
    return value.tenant


@action("work.day", effect=Effect.READ)
async def day(ctx: Any, value: Job) -> str:
    """Work by day."""
    return await _work(value)


@action("work.night", effect=Effect.READ)
async def night(ctx: Any, value: Job) -> str:
    """Work by night."""
    return await _work(value)


@workflow("jobs")
async def jobs(ctx: Any, value: dict[str, Any]) -> Any:
    """Do many jobs at once."""
    retry = RetryPolicy(attempts=value.get("attempts", 1), initial_ms=1, jitter=0)
    name = value.get("action", "work.day")
    return await ctx.map(lambda one: ctx.call(name, one, retry=retry), value["jobs"], limit=1_000)


class Declared:
    """Pools as a test declares them."""

    def __init__(self, specs: dict[str, dict[str, Any]], needs: dict[str, Need]) -> None:
        self.specs, self._needs = specs, needs

    async def pools(self) -> list[Any]:
        """Return them."""
        assert KIND.check is not None
        for spec in self.specs.values():
            assert KIND.check(spec) == []
        return [rule_of(name, spec) for name, spec in self.specs.items()]

    async def needs(self) -> dict[str, Need]:
        """Return what agents need."""
        return self._needs


def pooled(**specs: dict[str, Any]) -> TestSquad:
    """Return a squad whose steps share these pools."""
    squad = TestSquad(Plugin(name="work", actions=(day, night), workflows=(jobs,)))
    DONE.clear()
    NOW.update(squad=squad, busy=0, most=0, began=squad.clock.now_ms())
    squad.world.ports.put(Pools, Pools(Declared(specs, {}), squad.clock))
    return squad


async def done(squad: TestSquad, value: dict[str, Any], ms: int = 10_000) -> Any:
    """Return how a run of jobs ends within some time."""
    run = await squad.engine.start("jobs", value)
    for _ in range(20):
        await squad.clock.advance(ms // 20)
    return await squad.engine.wait(run), run


async def test_no_more_steps_run_than_there_are_places_and_the_log_says_who_waited():
    squad = pooled(desk={"match": ["work.*"], "slots": 2})
    outcome, run = await done(squad, {"jobs": [{}] * 5}, 1_000)
    assert outcome.status == "completed" and NOW["most"] == 2
    steps = await squad.ledger.store.read_stream(f"run/{run}")
    waited = [e.payload["place"]["waited_ms"] for e in steps if "place" in (e.payload or {})]
    assert len(waited) == 3 and min(waited) > 0


async def test_tenants_share_by_weight_and_a_quota_overflows_only_into_what_nobody_wants():
    share = {"by": "/tenant", "weights": {"acme": 3}, "quotas": {"big": 1}}
    squad = pooled(desk={"match": ["work.*"], "slots": 4, "share": share})
    many = [{"tenant": "acme"}] * 9 + [{"tenant": "zoo"}] * 3 + [{"tenant": "big"}] * 6
    await done(squad, {"jobs": many}, 2_000)
    first = [name for name, at in DONE if at <= 400]
    assert first.count("acme") > first.count("zoo") >= 2
    assert first.count("big") <= 4  # its quota of one a round, as long as others wait
    assert len(DONE) == 18
    alone = pooled(desk={"match": ["work.*"], "slots": 4, "share": share})
    await done(alone, {"jobs": [{"tenant": "big"}] * 4}, 200)
    assert NOW["most"] == 4


async def test_who_is_more_urgent_goes_first_and_nobody_waits_for_ever():
    urgent = {"match": ["work.night"], "level": 9}
    squad = pooled(desk={"match": ["work.*"], "slots": 1, "priorities": [urgent], "aging": "1h"})
    slow = await squad.engine.start("jobs", {"jobs": [{"tenant": "slow"}] * 4})
    await squad.clock.advance(1)
    await squad.engine.start("jobs", {"jobs": [{"tenant": "fast"}] * 2, "action": "work.night"})
    for _ in range(20):
        await squad.clock.advance(100)
    assert [name for name, _ in DONE] == ["slow", "fast", "fast", "slow", "slow", "slow"]
    assert (await squad.engine.wait(slow)).status == "completed"


async def test_a_full_line_pushes_back_and_the_step_is_tried_again():
    squad = pooled(desk={"match": ["work.*"], "slots": 1, "waiting": 1, "patience": "150ms"})
    outcome, _ = await done(squad, {"jobs": [{}] * 3}, 1_000)
    assert outcome.error["code"] == "pool.full"
    outcome, _ = await done(squad, {"jobs": [{}] * 3, "attempts": 9}, 3_000)
    assert outcome.status == "completed" and NOW["most"] == 1


async def test_who_waits_too_long_overflows_into_another_pool():
    squad = pooled(
        desk={"match": ["work.day"], "slots": 1, "overflow": {"to": "cloud", "after": "50ms"}},
        cloud={"match": ["work.cloud"], "slots": 5},
    )
    outcome, run = await done(squad, {"jobs": [{}] * 3}, 1_000)
    assert outcome.status == "completed" and NOW["most"] == 3
    steps = await squad.ledger.store.read_stream(f"run/{run}")
    assert [e.payload["place"]["pool"] for e in steps if "place" in (e.payload or {})] == [
        "cloud", "cloud",
    ]  # fmt: skip


async def test_an_idle_pool_steals_from_one_that_is_behind():
    squad = pooled(
        day={"match": ["work.day"], "slots": 1},
        night={"match": ["work.night"], "slots": 2, "stealsFrom": ["day"]},
    )
    outcome, _ = await done(squad, {"jobs": [{}] * 6}, 1_000)
    assert outcome.status == "completed" and NOW["most"] == 3
    loads = {one.name: one for one in squad.world.ports.get(Pools).snapshot()}
    assert loads["night"].stolen == 4 and loads["day"].waiting == loads["night"].busy == 0


async def test_steps_are_packed_onto_the_cheapest_nodes_within_the_budget():
    nodes = [
        {"name": "own", "cpu": "2000m", "cost": "1 USD/hour"},
        {"name": "rented", "cpu": "4", "cost": "48 USD/day"},
        {"name": "dear", "cpu": "64", "cost": "9 USD/hour"},
    ]
    desk = {"match": ["work.*"], "nodes": nodes, "need": {"cpu": 1}, "budget": "3 USD/hour"}
    squad = pooled(desk=desk)
    outcome, run = await done(squad, {"jobs": [{}] * 8}, 1_000)
    assert outcome.status == "completed" and NOW["most"] == 6
    steps = await squad.ledger.store.read_stream(f"run/{run}")
    on = [e.payload["place"]["node"] for e in steps if "place" in (e.payload or {})]
    assert "dear" not in on and on.count("own") >= 2 and on.count("rented") >= 4


async def test_a_step_that_could_never_fit_fails_at_once_and_says_what_it_needs():
    squad = pooled(desk={"match": ["work.*"], "cpu": 1, "need": {"cpu": 2, "memory": "1Gi"}})
    outcome, _ = await done(squad, {"jobs": [{}]}, 100)
    assert outcome.error["code"] == "pool.need"
    assert "1 place, 2000m processor, 1024 MiB" in outcome.error["message"]


async def test_a_run_that_is_cancelled_in_the_line_leaves_it():
    squad = pooled(desk={"match": ["work.*"], "slots": 1})
    run = await squad.engine.start("jobs", {"jobs": [{}] * 3})
    await squad.clock.advance(10)
    await squad.engine.cancel(run, actor="person:ada", reason="enough")
    await squad.clock.advance(1_000)
    assert (await squad.engine.wait(run)).status == "cancelled"
    (load,) = squad.world.ports.get(Pools).snapshot()
    assert (load.busy, load.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        ({"match": ["a"], "cpu": "two"}, "/cpu"),
        ({"match": ["a"], "cpu": 1, "nodes": [{"name": "n"}]}, "/cpu"),
        ({"match": ["a"], "nodes": [{"name": "n"}, {"name": "n"}]}, "/nodes/1/name"),
        ({"match": ["a"], "budget": "10"}, "/budget"),
    ],
)
def test_a_pool_that_is_wrongly_written_is_refused_where_it_is_wrong(spec, at):
    assert KIND.check is not None
    assert [found[0] for found in KIND.check(spec)] == [at]
