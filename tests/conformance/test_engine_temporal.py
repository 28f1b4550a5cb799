"""What is Temporal's own: its history holds nothing of a run, its executions
come and go, several workers serve a queue, and every way it can be missing is
said."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import DefinitionChangedError
from agentsquad.runtime.temporal import plugin as room_plugin
from agentsquad.runtime.temporal.contract import (
    NamespaceMissingError,
    NoTemporalError,
    NoWorkerError,
    OtherLogError,
    SkewError,
    StoppedError,
    TemporalExtraError,
    UnreachableError,
)

_spec = importlib.util.spec_from_file_location(
    "squad_engine_kit", Path(__file__).with_name("engine_kit.py")
)
assert _spec and _spec.loader
kit = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
if not hasattr(kit, "opened"):
    _spec.loader.exec_module(kit)
world = kit.load(Path(__file__).with_name("engine_programs.py"))
N, PLUGIN = world.N, world.PLUGIN

pytestmark = pytest.mark.slow


@pytest.fixture
async def room():
    world.afresh()
    async with kit.opened("temporal", PLUGIN) as made:
        yield made


async def handle(room: Any, run: str) -> Any:
    cluster = await room.engine.cluster()
    return cluster.client.get_workflow_handle(run)


async def test_temporal_is_told_nothing_but_ids_positions_and_versions(room):
    run = await room.engine.start("listener", N(30), actor="person:florence")
    for _ in range(2):
        await room.engine.signal(run, "go", "attack at dawn", actor="person:florence")
    await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    run = await room.engine.start("parent", N(1), actor="person:florence", key="secret-key")
    await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    for one in (run, f"{run}/1"):
        history = await (await handle(room, one)).fetch_history()
        text = history.to_json()
        assert len(json.loads(text)["events"]) > 10
        decoded = "".join(
            payload.data.decode("utf-8", "replace")
            for event in history.events
            for payload in _payloads(event)
        )
        for told in ("florence", "attack", "secret-key", '"n"', "output"):
            assert told not in text, told
            assert told not in decoded, told


def _payloads(message: Any) -> list[Any]:
    """Every payload anywhere in a message."""
    found = []
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            parts = [v for v in value.values() if hasattr(v, "ListFields")]
        else:
            parts = list(value) if hasattr(value, "append") else [value]
        for part in parts:
            if part.DESCRIPTOR.name == "Payload":
                found.append(part)
            elif part.DESCRIPTOR.full_name.startswith("temporal."):
                found += _payloads(part)
    return found


async def test_a_long_run_goes_on_in_new_executions_and_nobody_sees_it():
    journals = []
    for kind in kit.ENGINES:
        world.afresh()
        async with kit.opened(kind, PLUGIN, history_max=40) as room:
            outcome = await room.run("endless", N(60), key="long")
            assert outcome.status == "completed"
            journals.append(await kit.journal(room, outcome.run))
            if kind == "temporal":
                described = await (await handle(room, outcome.run)).describe()
                started = described.raw_description.workflow_execution_info
                assert started.first_run_id != described.run_id
    assert journals[0] == journals[1]


async def test_a_wait_outlives_its_execution():
    async with kit.opened("temporal", PLUGIN, history_max=20) as room:
        run = await room.engine.start("listener", N(200))
        for n in range(2):
            await room.engine.signal(run, "go", n, actor="person:ada")
        outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
        assert outcome.output == [0, 1, "step.deadline"]
        assert (await room.types(run)).count("timer.fired") == 1


async def test_no_more_is_under_way_than_temporal_takes(room, monkeypatch):
    from agentsquad.runtime.temporal.adapters import driving

    monkeypatch.setattr(driving, "BUSY_MAX", 3)
    monkeypatch.setattr(driving, "CHILDREN_MAX", 2)
    outcome = await room.run("crowd", N(12))
    assert outcome.output == [list(range(12)), [2, 4, 6, 12]]
    assert 1 < world.SIDE.most <= 3
    assert await kit.verdicts(room, outcome.run) == {"identical"}


async def test_a_crowded_run_can_be_cancelled(room, monkeypatch):
    from agentsquad.runtime.temporal.adapters import driving

    monkeypatch.setattr(driving, "BUSY_MAX", 1)
    world.SIDE.hold = asyncio.Event()  # a read that has the only place, for ever
    run = await room.engine.start("stopped", N(1))
    await asyncio.wait_for(world.SIDE.staring.wait(), 20)
    await room.until(f"{run}/2.0.1", "signal.waiting")
    await room.engine.cancel(run, actor="person:ada", reason="enough")
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.status == "cancelled"
    assert sorted(n for _, n in world.SIDE.received) == [-4, -1, 1, 4]


async def test_who_cancels_in_temporal_cancels_the_run(room):
    run = await room.engine.start("stopped", N(1))
    await room.until(f"{run}/2.0.1", "signal.waiting")
    await (await handle(room, run)).cancel()
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.status == "cancelled"
    events = await room.store.read_stream(f"run/{run}")
    (asked,) = [e for e in events if e.type == "run.cancel_requested"]
    assert (asked.actor, asked.payload["reason"]) == ("service:temporal", "cancelled in Temporal")
    assert sorted(n for _, n in world.SIDE.received) == [-4, -1, 1, 4]


async def test_temporal_shows_how_runs_ended(room):
    ended = {}
    for name, n in (("child", 1), ("child", 13)):
        outcome = await room.run(name, N(n))
        ended[outcome.status] = outcome.run
    run = await room.engine.start("stopped", N(1))
    await room.until(f"{run}/2.0.1", "signal.waiting")
    await room.engine.cancel(run, actor="person:ada", reason="enough")
    await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    ended["cancelled"] = run
    shown = {
        status: (await (await handle(room, run)).describe()).status.name
        for status, run in ended.items()
    }
    assert shown == {"completed": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELED"}


async def test_a_terminated_execution_is_said_and_resumed(room):
    run = await room.engine.start("listener", N(30))
    await room.until(run, "signal.waiting")
    await (await handle(room, run)).terminate("by mistake")
    with pytest.raises(StoppedError, match="TerminatedError"):
        await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert (await room.engine.outcome(run)).status == "waiting"
    assert run in await room.engine.recover()
    for n in range(2):
        await room.engine.signal(run, "go", n, actor="person:ada")
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.output == [0, 1, "step.deadline"]
    assert await kit.verdicts(room, run) == {"identical"}


def other(plugin: Plugin) -> Plugin:
    """The same programs in another version."""
    changed = tuple(
        msgspec.structs.replace(one, digest=one.digest[:-4] + "beef") for one in plugin.workflows
    )
    return msgspec.structs.replace(plugin, workflows=changed)


async def test_a_run_under_another_definition_waits_for_its_own(room):
    run = await room.engine.start("listener", N(30))
    await room.until(run, "signal.waiting")
    await room.restart(other(PLUGIN))
    await room.engine.signal(run, "go", 0, actor="person:ada")
    with pytest.raises(DefinitionChangedError):
        await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    await room.restart(PLUGIN)
    await room.engine.signal(run, "go", 1, actor="person:ada")
    outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    assert outcome.output == [0, 1, "step.deadline"]


async def test_several_workers_share_a_queue_and_one_may_go(room):
    second = room_plugin.open_worker(room.world(), room.address)
    async with second.serving() as hands:
        runs = [await room.engine.start("steps", N(n)) for n in range(1, 13)]
        for run in runs[:6]:
            await room.engine.wait(run, timeout_ms=kit.LONG_MS)
    for run in runs:
        assert (await room.engine.wait(run, timeout_ms=kit.LONG_MS)).status == "completed"
        assert await kit.verdicts(room, run) == {"identical"}
    assert hands.steps > 0
    assert room.worker.hands.steps > 0
    keys = [key for key, _ in world.SIDE.received]
    assert len(keys) == len(set(keys)) == 24


# --- what can be missing


async def test_a_server_that_does_not_answer_is_named():
    closed = kit.servers.free_ports(1)[0]
    async with kit.opened("embedded", PLUGIN) as here:
        engine = room_plugin.open_engine(here.world(), f"temporal://127.0.0.1:{closed}/default")
        with pytest.raises(UnreachableError, match=f"127.0.0.1:{closed}"):
            await engine.start("child", N(1))
        assert await here.store.size() == 0


async def test_a_namespace_that_is_missing_is_named(room):
    where = f"temporal://127.0.0.1:{kit.servers.shared().port}/nowhere"
    for opened in (room_plugin.open_engine, room_plugin.open_worker):
        one = opened(room.world(), where)
        with pytest.raises(NamespaceMissingError, match="'nowhere'"):
            if hasattr(one, "start"):
                await one.start("child", N(1))
            else:
                await one.serve(seconds=1, tell=print)


async def test_without_a_worker_nothing_is_begun():
    async with kit.opened("embedded", PLUGIN) as here:
        engine = room_plugin.open_engine(here.world(), kit.address())
        with pytest.raises(NoWorkerError, match="no worker serves queue") as caught:
            await engine.start("child", N(1), key="k")
        assert "squad worker" in str(caught.value.hint)
        assert await here.store.size() == 0


async def test_a_worker_of_another_log_is_no_worker_of_ours(room):
    async with kit.opened("embedded", PLUGIN) as here:
        await here.run("child", N(1))
        engine = room_plugin.open_engine(here.world(), room.address)
        with pytest.raises(OtherLogError):
            await engine.start("child", N(1))


async def test_two_logs_in_a_namespace_do_not_share_a_key(room):
    run = await room.engine.start("listener", N(30), key="k")
    await room.until(run, "signal.waiting")
    async with kit.opened("temporal", PLUGIN) as there:
        with pytest.raises(OtherLogError, match="another log"):
            await there.engine.start("listener", N(30), key="k")
        assert f"run/{run}" not in [name for name, _ in await there.store.streams()]


async def test_a_worker_of_another_version_is_said(room):
    room.plugins = (other(PLUGIN),)
    engine = room_plugin.open_engine(room.world(), room.address)
    with pytest.raises(SkewError, match="run another version") as caught:
        await engine.start("child", N(1))
    assert caught.value.details["worker"] != caught.value.details["here"]


async def test_a_missing_extra_is_named(room, monkeypatch):
    monkeypatch.setattr(room_plugin, "find_spec", lambda name: None)
    for opened in (room_plugin.open_engine, room_plugin.open_worker):
        with pytest.raises(TemporalExtraError, match="agentsquad\\[temporal\\]"):
            opened(room.world(), "temporal://localhost")


async def test_a_worker_without_temporal_has_nothing_to_serve(room):
    with pytest.raises(NoTemporalError):
        room_plugin.open_worker(room.world(), "embedded")


# --- generated programs

programs = kit.load(Path(__file__).parents[1] / "properties" / "test_engine_programs.py")
few = st.integers(0, 13)
leaf = st.one_of(
    *(st.tuples(st.just(kind), few) for kind in ("pure", "read", "effect", "saga", "ask")),
    st.tuples(st.just("sleep"), st.integers(0, 40)),
    st.tuples(st.just("signal"), st.sampled_from(["go", "stop"])),
    st.tuples(st.just("late"), st.integers(1, 40)),
    st.tuples(st.just("random"), st.none()),
)
trees = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["seq", "par"]), st.lists(inner, min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["child", "try"]), inner),
    ),
    max_leaves=8,
)
PARTS = ("outcome", "steps", "verdicts")


async def story(kind: str, drawn: list[Any], name: str) -> list[dict[str, Any]]:
    """What becomes of programs, all at once."""
    programs.SIDE = programs.Side([0])
    async with kit.opened(kind, programs.PLUGIN) as room:
        runs = [
            await room.engine.start("program", tree, key=f"{name}-{number}")
            for number, tree in enumerate(drawn)
        ]
        told = []
        for outcome in await asyncio.gather(*(room.play(run) for run in runs)):
            steps = await kit.journal(room, outcome.run)
            told.append(
                {
                    "outcome": (outcome.status, outcome.output, outcome.error),
                    "steps": steps,
                    "verdicts": await kit.verdicts(room, outcome.run),
                }
            )
        keys = [key for key, _ in programs.SIDE.received]
        assert len(keys) == len(set(keys))
        return told


# To make a failing batch smaller would take minutes; each tree is named.
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(trees, min_size=12, max_size=12))
def test_generated_programs_leave_the_same_journals(drawn: list[Any]):
    name = f"drawn-{next(kit.numbers)}"  # the same in both, and of nobody else in Temporal
    ours = asyncio.run(story("embedded", drawn, name))
    theirs = asyncio.run(story("temporal", drawn, name))
    for tree, one, two in zip(drawn, ours, theirs, strict=True):
        assert one["verdicts"] == {"identical"}, tree
        for part in PARTS:
            assert two[part] == one[part], (part, tree)


def test_every_error_of_this_room_says_what_to_do():
    from agentsquad.runtime.temporal import contract

    for one in vars(contract).values():
        if (
            isinstance(one, type)
            and issubclass(one, SquadError)
            and one.__module__ == contract.__name__
        ):
            assert one.code.startswith(("temporal.", "engine."))
